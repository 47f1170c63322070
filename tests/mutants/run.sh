#!/usr/bin/env bash
# Takes the protections out of the program, one at a time, and requires that a test fails for each.
#
#   tests/mutants/run.sh [--list | --check | --tenth N] [--minutes M] [NAME…]
#
# --check      Only says whether each still applies to the tree.
# --tenth N    Runs every tenth of them, beginning with number N modulo 10.
# --minutes M  Begins no other mutant after M minutes, and says how many are left.
#
# A mutant is a patch, <area>/<name>.patch. Above its diff are two lines: `Takes out:` says what is missing with it, and
# `Red:` names the test binary and the tests that must fail. Without the mutant these tests pass.
# It works on a copy of the tree in build/mutants.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../.." && pwd)
copy=$root/build/mutants/tree
build=$root/build/mutants/build

fail() {
  echo "tests/mutants/run.sh: $*" >&2
  exit 1
}

usage() {
  echo 'usage: tests/mutants/run.sh [--list | --check | --tenth N] [--minutes M] [NAME...]' >&2
  exit 2
}

mode=run
tenth=
minutes=
wanted=()
while (($#)); do
  case $1 in
    --list | --check) mode=${1#--} ;;
    --tenth)
      [[ ${2-} =~ ^[0-9]+$ ]] || usage
      tenth=$((10#$2 % 10))
      shift
      ;;
    --minutes)
      [[ ${2-} =~ ^[1-9][0-9]*$ ]] || usage
      minutes=$2
      shift
      ;;
    -*) usage ;;
    *) wanted+=("$1") ;;
  esac
  shift
done

mutants=("$here"/*/*.patch)
[[ -e ${mutants[0]} ]] || fail 'there are no mutants'

name_of() { basename -- "$1" .patch; }
# Prints the test binary and its filter.
red_of() { sed -n 's/^Red: //p;/^--- /q' "$1"; }

chosen=()
for i in "${!mutants[@]}"; do
  if [[ -n $tenth ]] && ((i % 10 != tenth)); then continue; fi
  if ((${#wanted[@]})) && ! printf '%s\n' "${wanted[@]}" | grep -qxF -- "$(name_of "${mutants[i]}")"; then continue; fi
  chosen+=("${mutants[i]}")
done
((${#chosen[@]})) || fail 'there is no mutant of that name'

if [[ $mode == list ]]; then
  for mutant in "${chosen[@]}"; do printf '%-42s %s\n' "$(name_of "$mutant")" "$(sed -n 's/^Takes out: //p' "$mutant")"; done
  exit
fi

for mutant in "${chosen[@]}"; do
  grep -q '^Takes out: .*\.$' "$mutant" || fail "$mutant does not say what it takes out"
  [[ $(red_of "$mutant") =~ ^[a-z0-9_]+_test\ [^\ ]+$ ]] || fail "$mutant does not name the test that must go red"
  git -C "$root" apply --check -- "$mutant" || fail "$(name_of "$mutant") does not apply any more: bring it up to date"
done
if [[ $mode == check ]]; then
  echo "${#chosen[@]} mutants apply"
  exit
fi

compile() {
  cmake --build "$build" --parallel "$(nproc)" --target postcall-dispatcher "$@" >"$build/output" 2>&1 || {
    tail -n 30 "$build/output" >&2
    return 1
  }
}

# Sets `red` to the first test that failed. Returns the exit status of the tests; a filter that matches no test is an
# error.
run_tests() {
  local binary=$1 filter=$2 program output status=0
  program=$(find "$build" -type f -name "$binary" -perm -u+x -print -quit)
  output=$(timeout 300 "$program" --gtest_filter="$filter" 2>&1) || status=$?
  red=$(grep -m 1 -oP '^\[  FAILED  \] \K\S+' <<<"$output" || true)
  if grep -q '^\[==========\] 0 tests' <<<"$output"; then fail "$binary has no test $filter"; fi
  return "$status"
}

"$root/deploy/install-packages.sh" build database tests
rm -rf -- "$copy"
mkdir -p -- "$copy"
(cd -- "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy")
# Warnings are not errors here, because a mutant may leave code unused. Only in this the compilations differ from those of
# tests/run.sh, which are used again.
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=true CCACHE_IGNOREOPTIONS=-Werror
cmake -S "$copy" --preset release -B "$build" -DPOSTCALL_WARNINGS_AS_ERRORS=OFF --log-level=WARNING

binaries=()
for mutant in "${chosen[@]}"; do binaries+=("$(red_of "$mutant" | cut -d ' ' -f 1)"); done
mapfile -t binaries < <(printf '%s\n' "${binaries[@]}" | sort -u)
compile "${binaries[@]}" || fail 'the tree does not compile'

ran=0
survived=()
for mutant in "${chosen[@]}"; do
  if [[ -n $minutes ]] && ((SECONDS >= minutes * 60)); then break; fi
  ran=$((ran + 1))
  read -r binary filter < <(red_of "$mutant")
  compile "$binary" || fail 'the tree does not compile'
  run_tests "$binary" "$filter" || fail "$binary $filter fails without a mutant: $red"
  git -C "$copy" apply -- "$mutant"
  compile "$binary" || fail "$(name_of "$mutant") does not compile"
  if run_tests "$binary" "$filter"; then
    survived+=("$mutant")
    printf '%-42s SURVIVED %s\n' "$(name_of "$mutant")" "$filter"
  else
    printf '%-42s caught by %s\n' "$(name_of "$mutant")" "${red:-the time limit}"
  fi
  git -C "$copy" apply --reverse -- "$mutant"
done

echo "$ran mutants, $((ran - ${#survived[@]})) caught, $((${#chosen[@]} - ran)) left"
((${#survived[@]} == 0))
