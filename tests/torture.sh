#!/usr/bin/env bash
# The long form of the system tests: three dispatchers are under load. At random they are killed, frozen and stopped,
# and their database fails. At the end, the test compares what the endpoints saw with the log.
#
#   tests/torture.sh --minutes N [--seed S]
#
# It installs missing packages and builds first. Exit 0 only when nothing was sent twice and nothing was lost.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
"$root/deploy/install-packages.sh" build database tests

export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true
cmake -S "$root" --preset release --log-level=WARNING
cmake --build "$root/build/release" --parallel "$(nproc)" --target torture
exec "$root/build/release/tests/torture/torture" "$@"
