#!/usr/bin/env bash
# Installs Express into a cache folder outside the sources and runs express_test.js on a private PostgreSQL.
#   express_test.sh DISPATCHER CACHE_FOLDER
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
dispatcher=$1
cache=$2

# shellcheck source=deploy/private-postgres.sh
source "$here/../../../deploy/private-postgres.sh"

folder=
# shellcheck disable=SC2317,SC2329  # called by a trap
clean_up() {
  private_postgres_stop
  if [[ -n $folder ]]; then rm -rf -- "$folder"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Installs each version once, first into a temporary folder, so that an incomplete installation is never used.
installed=$cache/$(sha256sum "$here/package.json" | cut -c -16)
if [[ ! -d $installed ]]; then
  mkdir -p -- "$cache"
  fresh=$(mktemp -d -- "$cache/new.XXXXXX")
  cp -- "$here/package.json" "$fresh"
  npm install --prefix "$fresh" --no-package-lock --no-audit --no-fund --loglevel=error
  mv -T -- "$fresh" "$installed" 2>/dev/null || rm -rf -- "$fresh" # another run has installed it already
fi

folder=$(private_temporary_folder)
private_postgres_start "$folder" -c fsync=off
NODE_PATH=$installed/node_modules node "$here/express_test.js" "$dispatcher"
