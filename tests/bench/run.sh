#!/usr/bin/env bash
# Measures how fast the dispatcher is and what it costs, compared with a minimal program with the same libcurl.
#
#   tests/bench/run.sh [--check]
#
# It uses calls that are due already, in a private PostgreSQL with the shipped settings (fsync too); an nginx that
# answers 200; and the dispatcher with its defaults. In turns with it, tests/bench/bare_loop.cpp POSTs the same bodies to
# the same nginx without database or JSON. All run on this machine, so the figures are proportions, not promises. They
# are medians, because machines are noisy.
#
#   BENCH_CALLS (20000), BENCH_AGENTS (200), BENCH_ROUNDS (3), BENCH_BUILD (build/release, built when it is not given)
#
# --check: exit 1 when the dispatcher's throughput is below BENCH_MIN_THROUGHPUT_RATIO (0.25) of the bare loop's, or its
# CPU per delivery above BENCH_MAX_CPU_RATIO (2.5) of the bare loop's. A missing delivery is always exit 1.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
calls=${BENCH_CALLS:-20000}
agents=${BENCH_AGENTS:-200}
rounds=${BENCH_ROUNDS:-3}
min_throughput_ratio=${BENCH_MIN_THROUGHPUT_RATIO:-0.25}
max_cpu_ratio=${BENCH_MAX_CPU_RATIO:-2.5}
check=
case ${1-} in
  '') ;;
  --check) check=yes ;;
  *)
    echo "usage: tests/bench/run.sh [--check]" >&2
    exit 2
    ;;
esac

# shellcheck source=deploy/private-postgres.sh
source "$root/deploy/private-postgres.sh"

if [[ -z ${BENCH_BUILD-} ]]; then
  "$root/deploy/install-packages.sh" build database tests
  BENCH_BUILD=$root/build/release
  cmake -S "$root" --preset release --log-level=WARNING
  cmake --build "$BENCH_BUILD" --target postcall-dispatcher bare_loop
fi
readonly bin=$BENCH_BUILD/bin

folder=
nginx=
dispatcher=
# shellcheck disable=SC2317,SC2329  # called by a trap
clean_up() {
  trap '' INT TERM
  local process
  for process in $dispatcher $nginx; do
    kill -TERM "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  private_postgres_stop
  if [[ -n $folder ]]; then rm -rf -- "$folder"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "tests/bench/run.sh: $1" >&2
  if [[ -n ${2-} && -s ${2-} ]]; then tail -n 20 -- "$2" >&2; fi
  exit 1
}
query() { psql --no-psqlrc --quiet --no-align --tuples-only --command "$1"; }
answers() { curl --noproxy '*' --silent --output /dev/null --data x "$1"; }

# nginx cannot report which port it got, so this tries ports until one is free.
start_nginx() {
  mkdir "$folder/nginx"
  for _ in {1..20}; do
    port=$((20000 + RANDOM % 10000))
    sed "s/@PORT@/$port/" "$root/tests/bench/nginx.conf" >"$folder/nginx/nginx.conf"
    nginx -p "$folder/nginx" -c nginx.conf 2>"$folder/nginx.log" &
    nginx=$!
    for _ in {1..50}; do
      if ! kill -0 "$nginx" 2>/dev/null; then continue 2; fi
      # This is our nginx: if another one had the port, ours would have ended.
      if [[ -s $folder/nginx/nginx.pid ]] && answers "http://127.0.0.1:$port/"; then return; fi
      sleep 0.1
    done
  done
  fail "nginx does not start" "$folder/nginx.log"
}

# The number of requests that nginx has seen so far, including this one.
requests() { curl --noproxy '*' --silent "http://127.0.0.1:$port/status" | awk '/^server/ { getline; print $3 }'; }

# The user and system time of a process in microseconds.
processor_time() {
  local fields
  fields=$(<"/proc/$1/stat")
  read -r -a fields <<<"${fields##*) }"
  echo $(((fields[11] + fields[12]) * 1000000 / $(getconf CLK_TCK)))
}

# Makes a database for the round, with calls that are due.
fill_database() {
  createdb "$1"
  export PGDATABASE=$1
  "$bin/postcall-dispatcher" migrate --log-level warning
  psql --no-psqlrc --quiet --variable calls="$calls" --variable agents="$agents" --variable url="$url" \
    --file "$root/tests/bench/calls.sql"
  psql --no-psqlrc --quiet --no-align --tuples-only --file "$root/tests/bench/bodies.sql" >"$folder/bodies"
}

# Appends to $folder/dispatcher: deliveries per second, CPU microseconds per delivery.
run_dispatcher() {
  local before
  before=$(requests)
  "$bin/postcall-dispatcher" run --egress-allow 127.0.0.1/32 --admin-listen 127.0.0.1:0 2>"$folder/dispatcher.log" &
  dispatcher=$!
  local deadline=$((SECONDS + 60 + calls / 200))
  until [[ $(query "SELECT (SELECT count(*) FROM webhook_outbox) +
                           (SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight')") == 0 ]]; do
    kill -0 "$dispatcher" 2>/dev/null || fail "the dispatcher ended early" "$folder/dispatcher.log"
    ((SECONDS < deadline)) || fail "the dispatcher is not done in time" "$folder/dispatcher.log"
    sleep 1 # each query uses CPU time that is measured
  done
  local cpu
  cpu=$(processor_time "$dispatcher")
  kill -TERM "$dispatcher"
  wait "$dispatcher" || fail "the dispatcher did not exit with 0" "$folder/dispatcher.log"
  dispatcher=

  # Each call was answered with 2xx, so when there were no more requests than calls, each was sent once.
  local seen delivered rows unaccounted seconds
  seen=$(($(requests) - before - 1))
  delivered=$(query "SELECT count(DISTINCT call_id) FROM webhook_deliveries WHERE outcome = 'delivered'")
  rows=$(query 'SELECT count(*) FROM webhook_deliveries')
  unaccounted=$(query 'SELECT unaccounted FROM webhook_reconciliation')
  if [[ $delivered != "$calls" || $rows != "$calls" || $unaccounted != 0 || $seen != "$calls" ]]; then
    psql --no-psqlrc --command 'SELECT outcome, error, count(*) FROM webhook_deliveries GROUP BY 1, 2 ORDER BY 3 DESC'
    fail "$delivered of $calls delivered in $rows rows, $unaccounted unaccounted, $seen requests" "$folder/dispatcher.log"
  fi
  body_bytes=$(query 'SELECT sum(request_bytes) FROM webhook_deliveries')
  seconds=$(query 'SELECT extract(epoch FROM max(finished_at) - min(claimed_at)) FROM webhook_deliveries')
  awk "BEGIN { print $calls / $seconds, $cpu / $calls }" >>"$folder/dispatcher"
}

# Appends the same to $folder/bare.
run_bare_loop() {
  local result
  result=$("$bin/bare_loop" --url "$url" --bodies "$folder/bodies" --concurrency 200)
  sed -n 's/.*posts_per_second=\([0-9.]*\).*cpu_us_per_post=\([0-9.]*\).*/\1 \2/p' <<<"$result" >>"$folder/bare"
  bare_bytes=$(sed -n 's/.* bytes=\([0-9]*\).*/\1/p' <<<"$result")
}

# The median of a column of a file.
median() { awk "{ print \$$2 }" "$1" | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

folder=$(private_temporary_folder)
private_postgres_start "$folder"
start_nginx
url=http://127.0.0.1:$port/post-call

for ((round = 1; round <= rounds; ++round)); do
  fill_database "round_$round"
  run_bare_loop
  run_dispatcher
  run_bare_loop
  [[ $bare_bytes == "$body_bytes" ]] ||
    fail "the bare loop posted $bare_bytes bytes of bodies and the dispatcher $body_bytes: not the same work"
done

awk -v calls="$calls" -v agents="$agents" -v rounds="$rounds" -v bytes="$body_bytes" -v check="$check" \
  -v rate="$(median "$folder/dispatcher" 1)" -v each="$(median "$folder/dispatcher" 2)" \
  -v bare_rate="$(median "$folder/bare" 1)" -v bare_cpu="$(median "$folder/bare" 2)" \
  -v min_throughput="$min_throughput_ratio" -v max_cpu="$max_cpu_ratio" 'BEGIN {
  printf "%d rounds of %d calls of %d agents, bodies of %d bytes; all delivered, each seen once, 0 unaccounted; medians\n\n",
         rounds, calls, agents, bytes / calls
  printf "%-12s %14s %18s\n", "", "deliveries/s", "CPU us/delivery"
  printf "%-12s %14.0f %18.1f\n", "dispatcher", rate, each
  printf "%-12s %14.0f %18.1f\n", "bare loop", bare_rate, bare_cpu
  printf "%-12s %14.2f %18.2f\n", "ratio", rate / bare_rate, each / bare_cpu
  if (check && (rate / bare_rate < min_throughput || each / bare_cpu > max_cpu)) {
    printf "\nWanted: throughput at least %.2f of the bare loop'\''s, CPU at most %.2f times as much\n", min_throughput, max_cpu
    exit 1
  }
}'
