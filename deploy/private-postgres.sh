# shellcheck shell=bash
# A PostgreSQL of one's own for a script: made by initdb in a folder, reached by a Unix socket in that folder and by
# nothing else, so that any number run side by side. Source this file, then:
#
#   private_postgres_start DIR [-c name=value …]   DIR exists and is the caller's; sets PGHOST, PGUSER, PGDATABASE
#   private_postgres_stop                          idempotent; ends that server only, by its process id
#   private_temporary_folder                       prints a new folder that is fit to be DIR
#
# PostgreSQL refuses to run as root: called by root, the server runs as the user postgres.

private_postgres_folder=

private_temporary_folder() {
  local base=${TMPDIR:-/tmp}
  # The socket's path must fit into 107 bytes, and the user postgres must get there.
  if ((EUID == 0 || ${#base} > 60)); then base=/tmp; fi
  mktemp -d -- "$base/postcall.XXXXXXXX"
}

# Runs one of PostgreSQL's own programs as whoever owns the cluster.
private_postgres_program() {
  local program=$1 candidates
  shift
  candidates=(/usr/lib/postgresql/*/bin/"$program")
  if [[ ! -x ${candidates[-1]} ]]; then
    echo "PostgreSQL's $program is not installed (deploy/install-packages.sh database)" >&2
    return 1
  fi
  local as_owner=()
  if ((EUID == 0)); then as_owner=(setpriv --reuid=postgres --regid=postgres --init-groups --); fi
  # Not from the caller's folder, which the user postgres may not enter; LC_ALL so that messages are English; exec so
  # that a script interrupted by Ctrl-C waits for the program itself before it removes the folder.
  (cd / && export LC_ALL=C && exec "${as_owner[@]}" "${candidates[-1]}" "$@")
}

private_postgres_start() {
  local folder=$1
  shift
  unset PGDATA PGPORT PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGOPTIONS PGHOSTADDR PGSSLMODE
  if ((EUID == 0)); then chown postgres: -- "$folder"; fi
  chmod 700 -- "$folder"  # whoever gets to the socket is let in
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
  # Immediate: the folder is thrown away with it.
  private_postgres_program pg_ctl --pgdata="$private_postgres_folder/data" --mode=immediate --silent --wait stop \
    2>/dev/null || true
  private_postgres_folder=
}
