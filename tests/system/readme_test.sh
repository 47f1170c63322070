#!/usr/bin/env bash
# Runs the blocks of the README, the runbook and the security page that are marked "tested in DATABASE", in order, with
# a private PostgreSQL and an endpoint that replaces hooks.example.com. Then it compares the README's tables with the
# program.
#   readme_test.sh DISPATCHER SAMPLE_ENDPOINT
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
readme=$root/README.md
runbook=$root/deploy/OPERATIONS.md
security=$root/deploy/SECURITY.md
dispatcher=$1
sample_endpoint=$2

# shellcheck source=deploy/private-postgres.sh
source "$root/deploy/private-postgres.sh"

folder=
processes=()
dispatchers=() # the processes on the database voice
running=       # the log of the blocks that are being run
# shellcheck disable=SC2317,SC2329  # called by a trap
clean_up() {
  local process
  if [[ -n $running ]]; then tail -n 20 -- "$running" >&3 || true; fi # a block failed, and its output is there
  for process in "${processes[@]}"; do
    kill -TERM "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  private_postgres_stop
  if [[ -n $folder ]]; then rm -rf -- "$folder"; fi
}
exec 3>&2
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  if [[ -n $folder ]]; then tail -n 20 -- "$folder"/*.log >&2 || true; fi
  echo "readme_test.sh: $*" >&2
  exit 1
}

# wait_until WHAT COMMAND…
wait_until() {
  local what=$1 until=$((SECONDS + 30))
  shift
  until "$@"; do
    ((SECONDS < until)) || fail "did not happen in time: $what"
    sleep 0.1
  done
}

# ---- the commands that the blocks of the pages call

# shellcheck disable=SC2317,SC2329  # called by the blocks
postcall-dispatcher() {
  if [[ $1 != run ]]; then
    "$dispatcher" "$@"
    return
  fi
  local log=$folder/dispatcher-${#processes[@]}.log
  "$dispatcher" "$@" 2>"$log" &
  processes+=($!)
  [[ $* == *crm* ]] || dispatchers+=($!)
  wait_until 'the admin port is in the log' grep -q 'admin port is open' "$log"
  admin_port=$(sed -n 's/.*admin port is open address=127\.0\.0\.1:\([0-9]*\).*/\1/p' "$log")
  wait_until 'the dispatcher is ready' command curl --noproxy '*' --silent --fail --output /dev/null \
    "http://127.0.0.1:$admin_port/readyz"
}
# shellcheck disable=SC2317,SC2329  # called by the blocks
curl() { command curl --noproxy '*' --silent --show-error --fail "${@//9464/$admin_port}"; }
# shellcheck disable=SC2317,SC2329  # called by the blocks
run_sql() { psql --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="$1"; }

# `systemctl stop` stops every dispatcher. Then a call is completed, so that the restored database has one that was
# enqueued and not claimed.
# shellcheck disable=SC2317,SC2329  # called by the blocks
systemctl() {
  if [[ $1 == start ]]; then
    postcall-dispatcher run --database-url 'dbname=voice'
    return
  fi
  local process
  for process in "${dispatchers[@]}"; do
    kill -TERM "$process"
    wait "$process" || fail 'a dispatcher did not exit with 0'
  done
  dispatchers=()
  run_sql voice <<<"INSERT INTO calls (id, agent_id, status) VALUES ('call-2', 'agent-1', 'completed')"
}

# Prints shell blocks unchanged, and SQL blocks as input for psql.
blocks() {
  awk '
    /^<!-- tested in [a-z]+ -->$/ { database = $4; next }
    database != "" && /^```sh$/ { kind = "sh"; next }
    database != "" && /^```sql$/ { kind = "sql"; print "run_sql " database " <<\"END_OF_SQL\""; next }
    kind != "" && /^```$/ { if (kind == "sql") print "END_OF_SQL"; kind = ""; database = ""; next }
    kind != "" { print }
  ' "$1"
}

# run_blocks PAGE LEAST: runs the blocks of a page, which must have more than LEAST lines.
run_blocks() {
  local script=$folder/${1##*/}.sh
  blocks "$1" | sed "s#https://hooks\.example\.com#http://127.0.0.1:$(<"$folder/endpoint.port")#" >"$script"
  (($(grep -c . "$script") > $2)) || fail "found too few blocks in $1"
  running=$script.log
  # shellcheck source=/dev/null
  source "$script" >"$running" 2>&1
  running=
}
value() { psql --no-psqlrc --tuples-only --no-align --dbname="$1" --command "$2"; }

folder=$(private_temporary_folder)
private_postgres_start "$folder" -c fsync=off
for database in voice crm; do psql --no-psqlrc --quiet --command "CREATE DATABASE $database"; done

"$sample_endpoint" --listen 127.0.0.1:0 --port-file "$folder/endpoint.port" --ledger "$folder/endpoint.ledger" \
  >"$folder/endpoint.log" 2>&1 &
processes+=($!)
wait_until 'the endpoint listens' test -s "$folder/endpoint.port"

export POSTCALL_ADMIN_LISTEN=127.0.0.1:0 POSTCALL_EGRESS_ALLOW=127.0.0.1/32
run_blocks "$readme" 20
delivered_once() {
  [[ $(value "$1" 'SELECT call_id, outcome, http_status FROM webhook_deliveries') == "$2|delivered|200" ]]
}
wait_until 'call-1 of voice is delivered' delivered_once voice call-1
wait_until '4711 of crm is delivered' delivered_once crm 4711

run_blocks "$runbook" 60
log_of_call_2() { value voice "SELECT cause, outcome FROM webhook_deliveries WHERE call_id = 'call-2' ORDER BY id"; }
resent() { [[ $(log_of_call_2) == $'completion|unknown\nresend|delivered' ]]; }
wait_until 'call-2 was marked, and sent on request' resent
# The ledger's third column is the callId of each POST that the endpoint read.
[[ $(cut -f 3 "$folder/endpoint.ledger" | grep -cx call-2) == 1 ]] || fail 'call-2 was not sent once'

run_blocks "$security" 20
# Reads by SQL, because this machine's pg_dump may be older than the server.
left_of_call_1=$(run_sql voice <<'END_OF_SQL'
SELECT format('SELECT %L, t FROM %s AS t WHERE t::text LIKE %L', oid::regclass, oid::regclass, '%call-1%')
  FROM pg_class
 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
\gexec
END_OF_SQL
)
[[ $left_of_call_1 != *call-1* ]] || fail "something is left of call-1: $left_of_call_1"
[[ $(value voice "SELECT outcome FROM webhook_deliveries WHERE call_id = 'erased-0001'") == delivered ]] ||
  fail 'the erased call has no row in the log'
for database in voice crm; do
  [[ $(value "$database" 'SELECT unaccounted FROM webhook_reconciliation') == 0 ]] || fail "the books of $database are wrong"
done

# ---- the README's tables, compared with the program

# Prints the first column of the table under a heading: the text in backticks.
first_column() { awk -v heading="## $1" '/^## / { here = $0 == heading } here && /^\| `/' "$readme" | cut -d '`' -f 2 | sort; }
same() { diff --unified=0 --label "$2" --label "$4" "$1" "$3" >&2 || fail "the README and the program differ"; }

"$dispatcher" run --help | grep -oE -- '--[a-z][a-z-]+' | sort -u |
  grep -vxE -- '--(help|help-all|version|config|migrate|own-tables)' >"$folder/options.program"
first_column Settings >"$folder/options.readme"
same "$folder/options.readme" 'options in the README' "$folder/options.program" 'options of run --help'

psql --no-psqlrc --tuples-only --no-align --dbname=voice --command "
  SELECT DISTINCT (regexp_matches(pg_get_constraintdef(oid), '''(\w+)''::text', 'g'))[1] FROM pg_constraint
   WHERE conname = 'webhook_deliveries_outcome' AND conrelid = 'webhook_deliveries'::regclass" |
  sort >"$folder/outcomes.program"
first_column Outcomes >"$folder/outcomes.readme"
same "$folder/outcomes.readme" 'outcomes in the README' "$folder/outcomes.program" 'outcomes of the log'

curl http://127.0.0.1:9464/metrics >"$folder/metrics"
# shellcheck disable=SC2016  # backticks of Markdown
awk '/^## / { here = $0 == "## Metrics" } here' "$readme" | grep -oE '`[a-z_]+(_[a-z]+)+`' | tr -d '`' |
  grep -vx 'postcall_' | sort -u | while read -r metric; do
  grep -q "^# TYPE postcall_$metric " "$folder/metrics" || fail "no metric postcall_$metric"
done

# ---- links and their headings

anchors() { sed -n 's/^##* //p' "$1" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9_\n-'; }
pages=("$readme" "$runbook" "$security" "$root"/deploy/CHANGELOG.md "$root"/dispatcher/DECISIONS.md
  "$root"/.github/CONTRIBUTING.md "$root"/migrations/README.md "$root"/schema/CONTRACT.md)
for page in "${pages[@]}"; do
  { grep -oE '\]\([^)]+\)' "$page" || true; } | sed 's/](\(.*\))/\1/' | while read -r link; do
    target=$page
    if [[ $link != '#'* ]]; then target=${page%/*}/${link%%#*}; fi
    [[ -e $target ]] || fail "a link of ${page##*/} leads nowhere: $link"
    if [[ $link == *'#'* ]]; then
      anchors "$target" | grep -x -- "${link#*#}" >/dev/null || fail "a link of ${page##*/} leads to no heading: $link"
    fi
  done
done
echo "What the pages say works, and the README's tables are true"
