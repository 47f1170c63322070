#!/usr/bin/env bash
# Prints the Debian packages of the libraries that a program needs, one per line: they must be installed to run it.
# Their names differ between versions of Debian.
#
#   deploy/runtime-packages.sh PROGRAM       on the machine that built it
set -euo pipefail

(($# == 1)) || {
  echo "usage: ${0##*/} PROGRAM" >&2
  exit 2
}

readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r library; do
  # Each library of the system is in one package. In older packages the folder in the list of files is another one.
  package=$(dpkg-query --search "*-linux-gnu/$library" 2>/dev/null | sed -n '1s/[:,].*//p')
  if [[ -z $package ]]; then
    echo "${0##*/}: no package has $library" >&2
    exit 1
  fi
  echo "$package"
done | sort --unique
