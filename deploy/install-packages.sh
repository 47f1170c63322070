#!/usr/bin/env bash
# Installs the Debian packages that this project needs and this machine does not have. This is the only list of them.
#
#   deploy/install-packages.sh build database tests checks
#
# When everything is installed, it prints nothing and does not call apt. It needs root or sudo. It starts and enables no
# service: no PostgreSQL cluster and no nginx.
set -euo pipefail

# For the build of everything, tests included.
packages_build=(
  cmake ninja-build g++ pkg-config ca-certificates
  libcurl4-openssl-dev libboost-dev nlohmann-json3-dev libpqxx-dev libpq-dev prometheus-cpp-dev
  libc-ares-dev libjemalloc-dev libcli11-dev libspdlog-dev libtomlplusplus-dev libssl-dev libgtest-dev
  libgmock-dev
)
# The server for private clusters. Every Debian has its own version under these names.
packages_database=(postgresql postgresql-client)
# Programs that only the tests and the benchmark start.
packages_tests=(
  ccache nginx-light openssl curl nodejs npm pgbouncer python3 python3-yaml systemd iproute2
  clang libclang-rt-dev # tests/fuzz
  locales               # a server whose messages are German
)
# Programs that only .ci/run starts.
packages_checks=(git clang-format clang-tidy shellcheck)

usage() {
  echo "usage: ${0##*/} [build] [database] [tests] [checks]" >&2
  exit 2
}

is_installed() {
  case $1 in
    # Other sources of Node.js have one package for both, and Debian's npm would conflict with it.
    nodejs) command -v node >/dev/null && return ;;
    npm) command -v npm >/dev/null && return ;;
    # These packages only depend on the package of one version, which may be installed without them.
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return ;;
    postgresql-client) command -v psql >/dev/null && return ;;
    libclang-rt-dev) compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/*/libclang_rt.fuzzer*' >/dev/null && return ;;
  esac
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

no_cluster=/etc/postgresql-common/createcluster.d/postcall-no-main-cluster.conf
no_services=/usr/sbin/policy-rc.d
undo=()

# shellcheck disable=SC2317,SC2329  # called by a trap
restore() {
  if ((${#undo[@]})); then rm -f -- "${undo[@]}"; fi
  rmdir --ignore-fail-on-non-empty -- "${no_cluster%/*}" 2>/dev/null || true
}

# Calls apt as root, and prevents packages from starting a service when they are installed.
install_as_root() {
  # Two copies of this project may run this at the same time.
  exec 9>/run/lock/postcall-install-packages
  flock 9

  trap restore EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  if [[ ! -e $no_cluster ]]; then
    undo+=("$no_cluster")
    mkdir -p -- "${no_cluster%/*}"
    echo 'create_main_cluster = false' >"$no_cluster"
  fi
  if [[ ! -e $no_services ]]; then
    undo+=("$no_services")
    printf '#!/bin/sh\nexit 101\n' >"$no_services"
    chmod 755 "$no_services"
  fi

  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 "$@"
}

if [[ ${1-} == --as-root ]]; then
  shift
  install_as_root "$@"
  exit
fi

missing=()
(($#)) || usage
for group in "$@"; do
  case $group in
    build) packages=("${packages_build[@]}") ;;
    database) packages=("${packages_database[@]}") ;;
    tests) packages=("${packages_tests[@]}") ;;
    checks) packages=("${packages_checks[@]}") ;;
    *) usage ;;
  esac
  for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
done
((${#missing[@]})) || exit 0

echo "Installing: ${missing[*]}"
if ((EUID == 0)); then
  exec "$BASH" "${BASH_SOURCE[0]}" --as-root "${missing[@]}"
elif command -v sudo >/dev/null; then
  exec sudo -- "$BASH" "${BASH_SOURCE[0]}" --as-root "${missing[@]}"
fi
echo "${0##*/}: run this as root, or install sudo: missing are ${missing[*]}" >&2
exit 1
