#!/usr/bin/env bash
# Installs missing packages, builds everything and runs every test, with a private PostgreSQL and ports of its own.
#
#   tests/run.sh [--preset release|dev|asan|tsan] [--jobs N] [--no-fuzz] [TEST…]
#                [-- arguments of ctest, such as -R store]
#
# TEST is a test binary, such as dispatch_test; with TESTs only these are built and run. With preset release and all
# tests, tests/fuzz/run.sh then fuzzes each target for half a minute, two at a time, unless --no-fuzz is given.
# The exit code is 0 only when all passed. Any number of clones may run this at the same time.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
preset=release
jobs=$(nproc)
fuzz=yes

usage() {
  echo "usage: tests/run.sh [--preset release|dev|asan|tsan] [--jobs N] [--no-fuzz] [TEST...] [-- ctest arguments]" >&2
  exit 2
}

tests=()
while (($#)); do
  case $1 in
    --preset | --jobs)
      (($# >= 2)) || usage
      declare "${1#--}=$2"
      shift 2
      ;;
    --no-fuzz)
      fuzz=
      shift
      ;;
    --)
      shift
      break
      ;;
    -*) usage ;;
    *)
      tests+=("$1")
      shift
      ;;
  esac
done
[[ $preset =~ ^(release|dev|asan|tsan)$ && $jobs =~ ^[1-9][0-9]*$ ]] || usage

"$root/deploy/install-packages.sh" build database tests

# With these settings one clone can reuse the compilations of another (CMake uses ccache when it is installed).
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true CCACHE_IGNOREOPTIONS=-Werror

build=$root/build/$preset
cmake -S "$root" --preset "$preset" --log-level=WARNING
if ((${#tests[@]})); then
  cmake --build "$build" --parallel "$jobs" --target "${tests[@]}"
  set -- --tests-regex "^($(IFS='|' && echo "${tests[*]}"))\$" "$@"
else
  cmake --build "$build" --parallel "$jobs"
fi

# A finding of a sanitizer is a failure.
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$root/tests/lsan_suppressions.txt:print_suppressions=0}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}

# Most tests spend most of their time waiting; tests that measure time run alone.
ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$((2 * jobs))" "$@"

if [[ -n $fuzz && $preset == release ]] && (($# == 0)); then "$root/tests/fuzz/run.sh" --seconds 30; fi
