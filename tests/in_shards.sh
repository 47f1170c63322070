#!/usr/bin/env bash
# Runs a GoogleTest binary as several processes at once, each with its share of the tests. This helps when the tests
# spend most of their time waiting.
#
#   tests/in_shards.sh COUNT BINARY [ARGUMENT...]
#
# It prints the output of each process, one after the other. The exit code is 0 only when all tests passed.
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
