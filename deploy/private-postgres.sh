# shellcheck shell=bash
# A private PostgreSQL for a script: initdb makes it in a folder, and it can be reached only through a Unix socket in
# that folder, so that any number of them can run at the same time. Source this file, then:
#
#   private_postgres_start DIR [-c name=value …]   DIR exists and is the caller's; sets PGHOST, PGUSER, PGDATABASE
#   private_postgres_stop                          idempotent; ends that server only, by its process id
#   private_temporary_folder                       prints a new folder that can be DIR
#
# PostgreSQL refuses to run as root: called by root, the server runs as the user postgres. PRIVATE_POSTGRES_BIN names the
# folder of its programs; without it, they are the newest that Debian's packages installed.

private_postgres_folder=
private_postgres_versions=/usr/lib/postgresql

private_temporary_folder() {
  local base=${TMPDIR:-/tmp}
  # The socket's path must fit into 107 bytes, and the user postgres must be able to reach it.
  if ((EUID == 0 || ${#base} > 60)); then base=/tmp; fi
  mktemp -d -- "$base/postcall.XXXXXXXX"
}

private_postgres_bin() {
  if [[ -n ${PRIVATE_POSTGRES_BIN-} ]]; then
    echo "$PRIVATE_POSTGRES_BIN"
  else
    printf '%s\n' "$private_postgres_versions"/*/bin | sort --version-sort | tail -n 1
  fi
}

# Runs one of PostgreSQL's own programs as the user that owns the cluster.
private_postgres_program() {
  local program
  program=$(private_postgres_bin)/$1
  shift
  if [[ ! -x $program ]]; then
    echo "$program is not there (deploy/install-packages.sh database)" >&2
    return 1
  fi
  local as_owner=()
  if ((EUID == 0)); then as_owner=(setpriv --reuid=postgres --regid=postgres --init-groups --); fi
  # It starts in /, because the user postgres may not enter the caller's folder. LC_ALL makes the messages English. exec
  # makes a script that Ctrl-C interrupts wait for the program itself before it removes the folder.
  (cd / && export LC_ALL=C && exec "${as_owner[@]}" "$program" "$@")
}

private_postgres_start() {
  local folder=$1
  shift
  unset PGDATA PGPORT PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGOPTIONS PGHOSTADDR PGSSLMODE
  if ((EUID == 0)); then chown postgres: -- "$folder"; fi
  chmod 700 -- "$folder"  # every user who can reach the socket can log in
  private_postgres_program initdb --pgdata="$folder/data" --username=postgres --auth=trust --no-sync \
    --encoding=UTF8 --locale=C.UTF-8 >"$folder/initdb.log" || {
    cat "$folder/initdb.log" >&2
    return 1
  }
  private_postgres_folder=$folder
  {
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$folder'"
    local setting
    for setting in "$@"; do
      if [[ $setting != -c ]]; then echo "${setting%%=*} = '${setting#*=}'"; fi
    done
  } >>"$folder/data/postgresql.conf"
  # pg_ctl gives the server a session of its own, so that Ctrl-C at the terminal does not reach it.
  private_postgres_program pg_ctl --pgdata="$folder/data" --log="$folder/data/server.log" --timeout=60 --silent \
    --wait start || {
    cat "$folder/data/server.log" >&2
    return 1
  }
  export PGHOST=$folder PGUSER=postgres PGDATABASE=postgres
}

private_postgres_stop() {
  if [[ -z $private_postgres_folder ]]; then return 0; fi
  # The mode is immediate, because the folder is removed afterwards.
  private_postgres_program pg_ctl --pgdata="$private_postgres_folder/data" --mode=immediate --silent --wait stop \
    2>/dev/null || true
  private_postgres_folder=
}
