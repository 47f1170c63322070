#!/usr/bin/env bash
# The long form of the system tests: three dispatchers under load while they are killed, frozen and stopped, and
# their database fails, at random. Then what the endpoints saw is held against the log.
#
#   tests/torture.sh --minutes N [--seed S]
#
# Installs what is missing and builds first. Exit 0 only when nothing was sent twice and nothing was lost.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
"$root/deploy/install-packages.sh" build database tests

export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true
cmake -S "$root" --preset release --log-level=WARNING
cmake --build "$root/build/release" --parallel "$(nproc)" --target torture
exec "$root/build/release/tests/torture/torture" "$@"
