#!/usr/bin/env bash
# Installs into folders of its own. Every file must be where GNUInstallDirs says, and the installed program and unit
# must work.
#   install_test.sh BUILD_FOLDER
set -euo pipefail

build=$1
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT

fail() {
  echo "install_test.sh: $*" >&2
  exit 1
}
install_to() { DESTDIR=$1 cmake --install "$build" "${@:2}" >"$folder/log" 2>&1 || fail "$(<"$folder/log")"; }

install_to "$folder/package" --prefix /usr
cd -- "$folder/package"
documentation=usr/share/doc/postcall-dispatcher
for file in usr/bin/postcall-dispatcher usr/lib/systemd/system/postcall-dispatcher.service \
  $documentation/{README.md,deploy/{CHANGELOG.md,OPERATIONS.md,SECURITY.md,postcall-dispatcher.toml}} \
  $documentation/{deploy/prometheus/alerts.yml,deploy/grafana/dashboard.json} \
  $documentation/schema/{CONTRACT.md,payload.schema.json}; do
  [[ -s $file ]] || fail "$file is not installed"
done
strangers=$(find . -type f ! -path './usr/bin/postcall-dispatcher' ! -path './usr/lib/systemd/*' \
  ! -path "./$documentation/*")
[[ -z $strangers ]] || fail "this should not be installed: $strangers"
usr/bin/postcall-dispatcher --version | grep -qE '^postcall-dispatcher [0-9.]+$' || fail 'the program does not start'
grep -q '^ExecStart=/usr/bin/postcall-dispatcher run' usr/lib/systemd/system/postcall-dispatcher.service ||
  fail 'the unit starts another program than the one installed'

# With the program in its place, systemd can check the whole unit.
install_to '' --prefix "$folder/opt"
unit=$folder/opt/lib/systemd/system/postcall-dispatcher.service
grep -q "^ExecStart=$folder/opt/bin/postcall-dispatcher run" "$unit" || fail 'the unit does not follow the prefix'
systemd-analyze verify --man=no "$unit" || fail 'systemd refuses the installed unit'
echo "What is installed works"
