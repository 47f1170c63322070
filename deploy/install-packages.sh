#!/usr/bin/env bash
# Installs those of Debian's packages that this project needs and this machine lacks. The only list of them.
#
#   deploy/install-packages.sh build database tests checks
#
# Says nothing and does not touch apt when everything is there. Needs root, or sudo to become it. Starts and enables
# no service: neither a PostgreSQL cluster nor an nginx comes up because of it.
set -euo pipefail

# To configure and build everything, tests included.
packages_build=(
  cmake ninja-build g++ pkg-config ca-certificates
  libcurl4-openssl-dev libboost-dev nlohmann-json3-dev libpqxx-dev libpq-dev prometheus-cpp-dev
  libc-ares-dev libjemalloc-dev libcli11-dev libspdlog-dev libssl-dev libgtest-dev libgmock-dev
)
# To run it: the server that a private cluster is made with.
packages_database=(postgresql-15 postgresql-client-15)
# What only the tests and the benchmark start. nodejs and npm count as there when their commands are (see below).
packages_tests=(
  ccache nginx-light openssl curl nodejs npm pgbouncer python3 python3-yaml systemd iproute2
  clang libclang-rt-14-dev # tests/fuzz
)
# What only .ci/run starts.
packages_checks=(git clang-format clang-tidy shellcheck)

usage() {
  echo "usage: ${0##*/} [build] [database] [tests] [checks]" >&2
  exit 2
}

is_installed() {
  case $1 in
    # Other sources of Node.js have one package for both, which Debian's npm would conflict with.
    nodejs) command -v node >/dev/null && return ;;
    npm) command -v npm >/dev/null && return ;;
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

# As root: apt, with every way shut by which a package starts a service when it is installed.
install_as_root() {
  # Two copies of this project may come here at the same time.
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
