#!/usr/bin/env bash
# Measures how fast the dispatcher is and what it costs. README.md says what each benchmark does.
#
#   tests/bench/run.sh [--short] [--check] [--json FILE] [NAME…]
#
# Without a NAME it runs all. The calls are in a private PostgreSQL with the shipped settings (fsync too), the endpoints
# are on loopback. All run on this machine, so the figures are proportions, not promises. They are medians, because
# machines are noisy, and what is compared runs in turns.
#
#   --short    small sizes and one or two rounds
#   --check    exit 1 when a figure is beyond its limit; the limits are wide. A missing delivery is always exit 1
#
#   BENCH_BUILD (build/release, built when it is not given), BENCH_ROUNDS, BENCH_OPTIONS (for every dispatcher),
#   BENCH_CALLS and BENCH_AGENTS of `delivery`, with its limits BENCH_MIN_THROUGHPUT_RATIO (0.25) and
#   BENCH_MAX_CPU_RATIO (2.5) of the bare loop's
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

if [[ -z ${BENCH_BUILD-} && " $* " != *' --help '* ]]; then
  "$root/deploy/install-packages.sh" build database tests
  cmake -S "$root" --preset release --log-level=WARNING
  cmake --build "$root/build/release" --target postcall-dispatcher bare_loop
fi

# -B: no compiled files beside the sources.
exec python3 -B "$root/tests/bench/main.py" "$@"
