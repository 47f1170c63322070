#!/usr/bin/env bash
# Builds the fuzz targets with clang and runs them, two at a time, from the seeds in tests/fuzz/seeds.
#
#   tests/fuzz/run.sh [--seconds N] [TARGET...]      60 s each, all of them: url settings payload response
#
# Exit 0 only when no target found anything. Findings stay in build/fuzz/findings, and the command that repeats each is
# printed. The corpus that a run makes is removed, so that each run starts from the same seeds.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/fuzz
all=(response url settings payload) # the slowest first
seconds=60

usage() {
  echo "usage: tests/fuzz/run.sh [--seconds N] [url|settings|payload|response]..." >&2
  exit 2
}

if [[ ${1-} == --seconds ]]; then
  (($# >= 2)) || usage
  seconds=$2
  shift 2
fi
[[ $seconds =~ ^[1-9][0-9]*$ ]] || usage
targets=("$@")
(($#)) || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [[ " ${all[*]} " == *" $target "* ]] || usage
done

"$root/deploy/install-packages.sh" build tests

export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true
cmake -S "$root" --preset fuzz --log-level=WARNING
cmake --build "$build" --target "${targets[@]/%/_fuzz}"

folder=$(mktemp -d -- "${TMPDIR:-/tmp}/postcall-fuzz.XXXXXXXX")
processes=()
# shellcheck disable=SC2317,SC2329  # called by a trap
clean_up() {
  trap '' INT TERM
  local process
  for process in "${processes[@]}"; do
    kill -TERM "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rm -rf -- "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start() {
  local target=$1 corpus=$folder/$1
  mkdir -p -- "$corpus" "$build/findings"
  "$build/tests/fuzz/${target}_fuzz" \
    -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
    -dict="$root/tests/fuzz/${target}_fuzz.dict" -artifact_prefix="$build/findings/$target-" \
    "$corpus" "$root/tests/fuzz/seeds/${target}_fuzz" >"$folder/$target.log" 2>&1 &
  processes+=($!)
}

# Waits for them in the order in which they were started, because they take equally long.
found=0
finish() {
  local target=$1 log=$folder/$1.log status=0
  wait "${processes[0]}" || status=$?
  processes=("${processes[@]:1}")
  if ((status == 0)); then
    printf '%-9s nothing found in %s runs\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    return
  fi
  found=1
  # Prints the log without the progress, which has thousands of lines.
  grep -v '^#[0-9]' "$log" | tail -n 60
  local input
  input=$(sed -n 's/^artifact_prefix=.*Test unit written to //p' "$log" | tail -n 1)
  printf '%-9s FOUND SOMETHING (exit %d)\n' "$target" "$status"
  if [[ -n $input ]]; then echo "Again: $build/tests/fuzz/${target}_fuzz $input"; fi
}

echo "Fuzzing ${targets[*]}, $seconds s each"
for ((i = 0; i < ${#targets[@]}; i += 2)); do
  pair=("${targets[@]:i:2}")
  for target in "${pair[@]}"; do start "$target"; done
  for target in "${pair[@]}"; do finish "$target"; done
done
exit "$found"
