#!/usr/bin/env bash
# Builds the dispatcher and shows how it works: a private PostgreSQL, a small receiving endpoint, 20 agents and 1,000
# completed calls. For some of these calls, the endpoint fails, hangs or does not exist.
#
#   deploy/quickstart.sh          runs until Ctrl-C, so that you can look around
#   deploy/quickstart.sh --once   stops by itself; exit 0 only when all 1,000 calls are accounted for
#
# It is for Debian 12 or 13, as root or with sudo. Everything that it starts is its own and is in a temporary folder,
# which is removed at the end; only packages stay installed.
set -euo pipefail

readonly calls=1000
readonly patience=120 # seconds for all deliveries to be over; the hanging endpoint takes 10 of them
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

once=
case ${1-} in
  '') ;;
  --once) once=yes ;;
  -h | --help)
    sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  *)
    echo "${0##*/}: unknown option $1: the only one is --once" >&2
    exit 2
    ;;
esac

# shellcheck source=deploy/private-postgres.sh
source "$root/deploy/private-postgres.sh"

folder=
dispatcher=
endpoint=
step=

say() { printf '\n%s\n' "$*"; }

fail() {
  echo "${0##*/}: $1" >&2
  if [[ -n ${2-} && -s ${2-} ]]; then tail -n 20 -- "$2" >&2; fi
  exit 1
}

is_running() { [[ -n $1 ]] && kill -0 "$1" 2>/dev/null; }

# Ends one process of ours and waits until it has ended.
end() {
  if is_running "$1"; then kill -TERM "$1" 2>/dev/null || true; fi
  if [[ -n $1 ]]; then wait "$1" 2>/dev/null || true; fi
}

# shellcheck disable=SC2317,SC2329  # called by a trap
clean_up() {
  trap '' INT TERM # once is enough
  end "$step"
  end "$dispatcher" # finishes the deliveries in flight, 10 s at most
  end "$endpoint"
  private_postgres_stop
  if [[ -n $folder ]]; then rm -rf -- "$folder"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a long command so that a signal to this script ends both at once.
run_step() {
  "$@" &
  step=$!
  wait "$step"
  step=
}

# wait_for SECONDS PID LOG CONDITION…: waits until the condition holds, while the process lives.
wait_for() {
  local until=$((SECONDS + $1)) pid=$2 log=$3
  shift 3
  until "$@"; do
    is_running "$pid" || fail "a process ended early; its last lines:" "$log"
    ((SECONDS < until)) || fail "no answer in time from: $*" "$log"
    sleep 0.1
  done
}

query() { psql --no-psqlrc --quiet --no-align --tuples-only --command "$1"; }

# ---- build

"$root/deploy/install-packages.sh" build database
say "Building (the first time takes minutes)"
run_step cmake -S "$root" --preset release --log-level=WARNING
run_step cmake --build "$root/build/release" --target postcall-dispatcher sample-endpoint
readonly bin=$root/build/release/bin

# ---- database, endpoint, dispatcher

folder=$(private_temporary_folder)
say "Starting a private PostgreSQL in $folder"
private_postgres_start "$folder"
query 'CREATE DATABASE voice'
export PGDATABASE=voice
database_url="host=$folder user=postgres dbname=voice"

"$bin/postcall-dispatcher" migrate --database-url "$database_url"

"$bin/sample-endpoint" --listen 127.0.0.1:0 --port-file "$folder/endpoint.port" --ledger "$folder/endpoint.ledger" \
  >"$folder/endpoint.log" 2>&1 &
endpoint=$!
wait_for 10 "$endpoint" "$folder/endpoint.log" test -s "$folder/endpoint.port"
endpoint_url=http://127.0.0.1:$(<"$folder/endpoint.port")
say "A receiving endpoint listens at $endpoint_url (/ok /slow /fail /reject /hang /reset)"

# By default the egress policy forbids loopback.
"$bin/postcall-dispatcher" run --database-url "$database_url" --egress-allow 127.0.0.1/32 \
  --admin-listen 127.0.0.1:0 --log-format json 2>"$folder/dispatcher.log" &
dispatcher=$!
# shellcheck disable=SC2317,SC2329  # called by wait_for
admin_url_is_known() {
  admin_url=$(sed -n 's/.*"address":"\(127\.0\.0\.1:[0-9]*\)".*/http:\/\/\1/p' "$folder/dispatcher.log" | head -n 1)
  [[ -n $admin_url ]]
}
admin_url=
wait_for 30 "$dispatcher" "$folder/dispatcher.log" admin_url_is_known
say "The dispatcher runs, process $dispatcher; its metrics are at $admin_url/metrics"

# ---- the calls

say "Completing $calls calls of 20 agents"
psql --no-psqlrc --quiet --variable endpoint="$endpoint_url" --file "$root/deploy/sample.sql" >/dev/null &
step=$!

progress() {
  query "SELECT format('%s completed, %s waiting, %s in flight, %s over',
                       (SELECT count(*) FROM webhook_enqueued),
                       (SELECT count(*) FROM webhook_outbox),
                       count(*) FILTER (WHERE outcome = 'in_flight'),
                       count(*) FILTER (WHERE outcome <> 'in_flight'))
           FROM webhook_deliveries"
}
deadline=$((SECONDS + patience))
shown=
while :; do
  line=$(progress)
  if [[ $line != "$shown" ]]; then
    if [[ -t 1 ]]; then printf '\r\033[K  %s' "$line"; else echo "  $line"; fi
    shown=$line
  fi
  if [[ $line == "$calls completed, 0 waiting, 0 in flight, "* ]]; then break; fi
  is_running "$dispatcher" || fail "the dispatcher ended early; its last lines:" "$folder/dispatcher.log"
  ((SECONDS < deadline)) || fail "not over after $patience s; the dispatcher's last lines:" "$folder/dispatcher.log"
  sleep 0.5
done
if [[ -t 1 ]]; then echo; fi
wait "$step" || fail "deploy/sample.sql failed"
step=

# ---- the outcomes

say "The log, webhook_deliveries:"
psql --no-psqlrc --command "
  SELECT outcome, count(*) AS calls, count(DISTINCT agent_id) AS agents, min(http_status) AS status,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY total_ms)::numeric(8, 1) AS p50_ms,
         max(total_ms)::numeric(8, 1) AS max_ms, min(error) AS error
    FROM webhook_deliveries
   GROUP BY outcome, http_status
   ORDER BY calls DESC, outcome"
say "Where all calls are, webhook_reconciliation:"
psql --no-psqlrc --expanded --command 'SELECT * FROM webhook_reconciliation'

accounted=$(query "
  SELECT (SELECT count(*) FROM webhook_deliveries WHERE cause = 'completion' AND outcome <> 'in_flight') = $calls
     AND (SELECT count(DISTINCT call_id) FROM webhook_deliveries) = $calls
     AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE outcome = 'in_flight')
     AND NOT EXISTS (SELECT FROM webhook_outbox)
     AND (SELECT unaccounted FROM webhook_reconciliation) = 0")
[[ $accounted == t ]] || fail "not every one of the $calls calls is accounted for"
# The ledger's third column is the callId of each POST that the endpoint read.
posts=$(wc -l <"$folder/endpoint.ledger")
twice=$(cut -f 3 "$folder/endpoint.ledger" | sort | uniq -d | wc -l)
((twice == 0)) || fail "$twice calls were POSTed more than once"
echo "All $calls calls are accounted for. The endpoint read $posts POSTs, no call twice."

if [[ -n $once ]]; then exit 0; fi

trap 'exit 0' INT
cat <<EOF

It runs until Ctrl-C. To look around, from another terminal:
  metrics    $admin_url/metrics   (and /healthz, /readyz)
  the log    tail -f $folder/dispatcher.log
  database   psql '$database_url'
             SELECT * FROM webhook_failures LIMIT 10;
             SELECT * FROM webhook_agent_health;
  a call     INSERT INTO calls (id, agent_id, status) VALUES ('my-call', 'agent-01', 'completed');
EOF
wait "$dispatcher" || fail "the dispatcher ended; its last lines:" "$folder/dispatcher.log"
