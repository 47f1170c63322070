#!/usr/bin/env bash
# Runs a GoogleTest binary as several processes at once, each with its share of the tests: for one whose tests wait
# most of their time.
#
#   tests/in_shards.sh COUNT BINARY [ARGUMENT...]
#
# Prints the output of each process, one after the other. Exit 0 only when all passed.
set -euo pipefail

(($# >= 2)) || {
  echo 'usage: tests/in_shards.sh COUNT BINARY [ARGUMENT...]' >&2
  exit 2
}
count=$1
shift

folder=$(mktemp -d -- "${TMPDIR:-/tmp}/postcall-shards.XXXXXXXX")
trap 'rm -rf -- "$folder"' EXIT

processes=()
for ((shard = 0; shard < count; ++shard)); do
  GTEST_TOTAL_SHARDS=$count GTEST_SHARD_INDEX=$shard "$@" >"$folder/$shard" 2>&1 &
  processes+=("$!")
done
failed=0
for shard in "${!processes[@]}"; do
  wait "${processes[shard]}" || failed=1
  cat -- "$folder/$shard"
done
exit "$failed"
