#!/usr/bin/env bash
# Takes the protections out of the program, one at a time, and requires that a test goes red for each.
#
#   tests/mutate.sh [--list | --check] [NAME…]
#
# --check says only whether each still finds what it takes out.
# Works on a copy of the tree in build/mutate. Each mutation below names a file, the text that is taken out (Perl, must
# match exactly once), the test binary and the tests that must notice. These must pass without the mutation first.
# The substitutions are Perl, in which $ is not the shell's:
# shellcheck disable=SC2016
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
copy=$root/build/mutate/tree
build=$root/build/mutate/build

mutations=()
# mutation NAME FILE SUBSTITUTION TEST_BINARY FILTER
mutation() { mutations+=("$(printf '%s\037' "$@")"); }

# ---- nothing twice

mutation resend-guard dispatcher/http/attempt.cpp \
  's/if \(seen_\.sent_at\) (\{\n    seen_\.second_send = true;\n    return CURL_SOCKET_BAD)/if (false) $1/ or die; s/if \(seen_\.sent_at\) (\{\n    seen_\.second_send = true;\n    return CURL_PREREQFUNC_ABORT)/if (false) $1/' \
  at_most_once_test 'AtMostOnce.AConnectionClosed*'
mutation idle-connections-too-old dispatcher/http/request_options.cpp \
  's/curl_easy_setopt\(easy, CURLOPT_MAXAGE_CONN, .*?;/;/' \
  http_integration_test 'Reuse.AConnectionIdleForFourSecondsIsNotUsed*'
mutation stale-connection dispatcher/http/attempt.cpp \
  's/SomethingIsUnread\(ends, session\)\) \{/SomethingIsUnread(ends, session) \&\& false) {/' \
  http_integration_test '*StaleConnection*'
mutation http10-not-kept dispatcher/http/attempt.cpp \
  's/if \(version == CURL_HTTP_VERSION_1_0\).*?;//' \
  http_integration_test 'Reuse.AConnectionThatAnswersInHttp10*'
mutation redirects-not-followed dispatcher/http/request_options.cpp \
  's/CURLOPT_FOLLOWLOCATION, 0L/CURLOPT_FOLLOWLOCATION, 1L/' \
  http_integration_test 'Answer.ARedirect*'
mutation ledger migrations/0009_hardening.sql \
  's/INSERT INTO webhook_enqueued \(call_id, agent_id, enqueued_at\)\n    SELECT \$1, agent, moment/INSERT INTO webhook_enqueued (call_id, agent_id, enqueued_at)\n    SELECT \$1 || \x27 \x27 || gen_random_uuid(), agent, moment/' \
  migrations_test 'Enqueue.AStatusThatFlips*:Enqueue.ARowDeleted*'
mutation unknown-never-sent dispatcher/store/confirm.cpp \
  's/\n       AND d\.outcome = .in_flight.//' \
  store_test 'Confirming.*'
mutation confirmed-when-late dispatcher/dispatch/dispatcher.cpp \
  's/if \(now - delivery->fence > \(delivery->confirmed .*?\)\) \{/if (false) {/' \
  process_test 'Process.FrozenBetween*'
mutation no-request-after-the-fence dispatcher/http/attempt.cpp \
  's/if \(now >= request_\.send_before\)/if (false)/' \
  http_integration_test 'Deadline.SendBefore*'
mutation gone-only-when-we-looked dispatcher/store/liveness.cpp \
  's/if \(session\.connection_number\(\) != connection_ \|\| before - last_look_ > kLookAtLeastEvery\)\n      sights_\.clear\(\);//' \
  store_test 'Watching.*'
mutation durable-claims dispatcher/store/transaction.cpp \
  's/SELECT set_config\(.synchronous_commit.*?;//s' \
  store_test 'Claim.IsDurable*'

# ---- nothing lost

mutation lookup-in-doubt dispatcher/dispatch/claim_loop.cpp \
  's/spine_\.send\(claimed\);\n          return;/spine_.abandon(claimed);\n          return;/' \
  database_test 'Database.LosesTheAnswerToAClaims*'
mutation fate-before-rows dispatcher/store/resolve.cpp \
  's/if \(status == "in progress"\) return \{\.fate = Fate::kPending\};/if (status == "in progress") return {.fate = Fate::kAborted};/' \
  store_test 'ClaimInDoubt.*'
mutation fence dispatcher/store/record.cpp \
  's/\n       AND d\.claim_id = r\.claim_id//' \
  store_test 'Recording.*'
mutation bisection dispatcher/store/halves.h \
  's/if \(batch\.size\(\) == 1\) \{/if (true) {/' \
  store_test 'Recording.*'
mutation text-replaced dispatcher/store/record.cpp \
  's/bare\.result\.response_body\.clear\(\);/;/' \
  store_test 'Recording.*'
mutation given-back-claims dispatcher/dispatch/dispatcher.cpp \
  's/if \(is_last\) \{/if (true) {/' \
  machine_test '*Descriptors*'
mutation local-faults-known dispatcher/http/verdict.cpp \
  's/return LocalFaultOf\(error\);/return LocalFault::kNone;/' \
  http_integration_test 'LocalFault.*'
mutation own-lost-rows dispatcher/store/liveness.cpp \
  's/(SweepOwn\(.*?)if \(old\.empty\(\)\) return \{\};/$1return {};/s' \
  store_test 'Sweeping.*'
mutation gone-dispatchers dispatcher/store/liveness.cpp \
  's/if \(before - sight\.since >= kGoneAfter\)/if (false)/' \
  process_test 'Process.ThreeAtOnce*'
mutation records-wait dispatcher/dispatch/recorder.cpp \
  's/(\} catch \(const std::exception& error\) \{\n)(    metrics_\.database_errors\(operation\))/$1    finished_batch_.clear();\n$2/' \
  database_test 'Database.IsAway*'
mutation stop-prints-what-is-left dispatcher/dispatch/recorder.cpp \
  's/std::vector<store::Finished> left = std::move\(finished_batch_\);/std::vector<store::Finished> left;/' \
  manners_test 'Manners.StoppedWithoutADatabase*:Manners.StoppedWithADatabase*'
mutation unreadable-calls-set-aside dispatcher/store/claim.cpp \
  's/    transaction\.Exec\(kPostpone, row\.row\.get\(\)\);/    ;/' \
  store_test 'ClaimSources.ThatCannotBeRead*'
mutation unknown-agents-found dispatcher/store/claim.cpp \
  's/if \(unknown\.empty\(\)\) return \{\};/return {};/' \
  store_test 'ClaimSources.FindTheAgent*'
mutation waits-end dispatcher/store/claim.cpp \
  's/WHERE awaits_analysis AND due_at <= statement_timestamp\(\)/WHERE false/' \
  store_test 'Claim.TakesACallWhoseWait*'
mutation what-is-ready-stays-ready dispatcher/store/claim.cpp \
  's/transaction\.Commit\(\);  \/\/ what became ready/;/' \
  store_test 'Claim.LeavesReady*'
mutation hidden-rows-told dispatcher/store/database_fit.cpp \
  's/\{kFaultOfSourceViews, kFaultOfRowSecurity\}/{kFaultOfSourceViews}/' \
  migrations_test 'RowSecurity.*'
mutation poolers-told-apart dispatcher/store/transaction.cpp \
  's/!state_\.is_pooled && Exec\("SELECT pg_backend_pid\(\)"\).*?;/true;/' \
  store_test 'ThroughPgBouncer.*:PreparedStatements.*'
mutation forgotten-claims-forgotten dispatcher/dispatch/intake.cpp \
  's/(void Intake::Forget\(\) \{\n  ForgetAdmitted\(\);\n  for .*?\n    held_\.Remove.*?\n)    admission_\.Release\(.*?\);\n/$1/s' \
  database_test 'Database.LosesTheAnswerToAClaims*:Database.HasItsLogLocked*'

# ---- what the log says is true

mutation heads-whole dispatcher/http/verdict.cpp \
  's/\(code == CURLE_OK && \(seen\.has_head \|\| !attempt\.Status\(\)\)\)/code == CURLE_OK/' \
  http_integration_test 'Answer.AConnectionThatBreaks*'
mutation status-lines-judged dispatcher/http/attempt.cpp \
  's/if \(begins_head_ && !IsStatusLine\(text\)\)/if (false)/' \
  http_integration_test 'Answer.WithoutAStatusLine*'
mutation records-not-counted-as-wire dispatcher/http/attempt.cpp \
  's/tls_ != nullptr \? tls_bytes_ : //' \
  http_integration_test 'Tls.EachByte*'
mutation hours-closed-late migrations/0009_hardening.sql \
  's/mark\.settled_until - interval .1 hour./mark.settled_until/' \
  migrations_test 'Reconciliation.CountsACompletionByAClock*'
mutation last-look-at-the-wire dispatcher/http/attempt.cpp \
  's/found->second->LookForFirstByte\(\);/;/' \
  http_integration_test 'Reuse.HalfALine*AllIsOverAtOnce'
mutation first-attempt-remembered dispatcher/http/transfer.cpp \
  's/if \(!attempt_ && furthest_\) attempt_ = std::move\(furthest_->attempt\);//' \
  http_integration_test 'Deadline.BetweenTwo*'

# ---- nobody let in

mutation egress-check-at-the-socket dispatcher/http/attempt.cpp \
  's/if \(target != address_ \|\| !context_\.policy\.Allows\(target\)\)/if (target != address_ \&\& !context_.policy.Allows(target))/' \
  http_integration_test 'Address.IsCheckedAgain*'
mutation egress-check-of-names dispatcher/http/transfer.cpp \
  's/if \(!context_\.policy\.Allows\(address\)\) return End\(JudgeBlocked\(\)\);/;/' \
  http_integration_test 'Address.ThatIsForbidden*'
mutation ipv4-in-ipv6 dispatcher/egress/policy.cpp \
  's/for \(const EmbeddedIpv4& ipv4 : embedded\) \{\n    const bool/for (const EmbeddedIpv4\& ipv4 : std::vector<EmbeddedIpv4>()) {\n    const bool/' \
  egress_test '*'
mutation own-resolver dispatcher/http/attempt.cpp \
  's/curl_easy_setopt\(easy, CURLOPT_CONNECT_TO, .*?;/;/' \
  http_integration_test 'Name.*'
mutation no-proxy dispatcher/http/request_options.cpp \
  's/curl_easy_setopt\(easy, CURLOPT_PROXY, "".*?;/;/' \
  http_integration_test 'RequestBytes.GoPastTheProxies*'
mutation no-netrc dispatcher/http/request_options.cpp \
  's/CURL_NETRC_IGNORED/CURL_NETRC_OPTIONAL/' \
  http_integration_test 'RequestBytes.CarryNoCredentials*'
mutation no-old-tls dispatcher/http/request_options.cpp \
  's/CURL_SSLVERSION_TLSv1_2/CURL_SSLVERSION_TLSv1_0/' \
  http_integration_test '*VersionsBefore12*'
mutation certificates-verified dispatcher/http/request_options.cpp \
  's/CURLOPT_SSL_VERIFYPEER, 1L/CURLOPT_SSL_VERIFYPEER, 0L/' \
  http_integration_test 'Tls.*'
mutation names-in-certificates dispatcher/http/request_options.cpp \
  's/CURLOPT_SSL_VERIFYHOST, 2L/CURLOPT_SSL_VERIFYHOST, 0L/' \
  http_integration_test 'Tls.ACertificateForAnotherName*'
mutation secrets-or-nothing schema/agent_settings.cpp \
  's/if \(auto error = ReadSecrets\(\*secret, target\)\) return refuse\(\*error\);/static_cast<void>(ReadSecrets(*secret, target));/' \
  schema_test 'AgentSettings.*'
mutation credentials-not-logged schema/redact_url.cpp \
  's/(      out \+= .=.;\n)/$1      Append(out, piece.substr(key.size() + 1));\n/' \
  schema_test 'RedactUrl.*'
mutation hosts-on-loopback dispatcher/admin/host_guard.cpp \
  's/if \(!loopback_\) return true;/if (true) return true;/' \
  admin_test '*'

mutation tls-keys-unwritten dispatcher/http/engine.cpp \
  's/::unsetenv\("SSLKEYLOGFILE"\);//' \
  manners_test 'Manners.WritesNoKeys*'
mutation what-is-over-stays migrations/0008_roles.sql \
  's/(CREATE TRIGGER webhook_outcome_changed.*?)WHEN \(OLD\.outcome NOT IN/$1WHEN (false AND OLD.outcome NOT IN/s' \
  migrations_test 'Roles.*'
mutation enqueueing-closed migrations/0009_hardening.sql \
  's/IF NOT EXISTS (\(SELECT FROM webhook_settings WHERE key = .own_tables.)/IF false AND NOT EXISTS $1/' \
  migrations_test 'Enqueue.ThePlatformNeeds*:Roles.OfReaders*'
mutation operators-not-slipped-in migrations/0009_hardening.sql \
  's/(\{webhooks,postCall\}.)::text\[\]/$1/' \
  migrations_test 'Roles.CannotSlipAnOperator*'
mutation asserts-caught migrations/0009_hardening.sql \
  's/OR assert_failure( THEN\n      BEGIN)/$1/' \
  migrations_test 'Enqueue.AViewWhoseAssert*'
mutation suspect-calls-marked migrations/0008_roles.sql \
  's/WHERE o\.enqueued_at < enqueued_before/WHERE false/' \
  restore_test '*'

# ---- nobody held up

mutation header-limit dispatcher/http/attempt.cpp \
  's/seen_\.header_bytes > kMaxHeaderBytes \|\| //' \
  http_integration_test 'Answer.EndlessHeaders*:Answer.HeadersUpTo*'
mutation body-limit dispatcher/http/attempt.cpp \
  's/if \(seen_\.body_bytes < kMaxBodyBytes\) return size;/return size;/' \
  http_integration_test 'Answer.ABodyOverTheLimit*'
mutation wire-limit dispatcher/http/attempt.cpp \
  's/if \(WireBytes\(\) <= kMaxWireBytes\) return;/return;/' \
  http_integration_test 'Crowd.AnswersWithoutAnEnd*'
mutation tls-messages-counted dispatcher/http/attempt.cpp \
  's/\+\+owner->tls_messages_ <= kMaxTlsMessages/true/' \
  http_integration_test 'TlsFlood.In*'
mutation kept-connections-closed-unread dispatcher/http/attempt.cpp \
  's/if \(owner != nullptr && \+\+owner/if (owner == nullptr || ++owner/' \
  http_integration_test 'TlsFlood.AfterAnAnswer*'
mutation no-costly-ciphers dispatcher/http/request_options.cpp \
  's/curl_easy_setopt\(easy, CURLOPT_SSL_CIPHER_LIST, .*?;/;/' \
  http_integration_test 'Tls.KeyExchangesOverFinite*'
mutation no-costly-groups dispatcher/http/request_options.cpp \
  's/curl_easy_setopt\(easy, CURLOPT_SSL_EC_CURVES, .*?;/;/' \
  http_integration_test 'Tls.KeyExchangesOverFinite*'
mutation no-endless-chains dispatcher/http/attempt.cpp \
  's/SSL_CTX_set_max_cert_list\(.*?;//' \
  http_integration_test 'Tls.CertificatesOfMore*'
mutation headers-counted schema/agent_settings.cpp \
  's/if \(headers\.size\(\) > kMaxHeaders\)/if (false)/' \
  schema_test 'AgentSettings.LimitTheNumber*'
mutation deadline dispatcher/http/engine.cpp \
  's/(transfers_\.front\(\)->deadline\(\)) <= Steady::now\(\)/$1 + std::chrono::seconds(1) <= Steady::now()/' \
  http_integration_test 'Deadline.OfTenSeconds*'
mutation slow-agents dispatcher/dispatch/admission.cpp \
  's/if \(agent->second\.slow && slow_in_flight_ >= SlowLimit\(\)\) return false;//' \
  dispatch_test 'Admission.SlowAgents*'
mutation deadline-of-a-stop dispatcher/dispatch/dispatcher.cpp \
  's/recorder_->Drain\(start \+ kStopWithin\);//' \
  manners_test 'Manners.StoppedWithADatabaseThatHangs*'
mutation connected-while-draining dispatcher/dispatch/recorder.cpp \
  's/if \(drains\) KeepConnected\(\);//' \
  process_test 'Process.StoppedBeforeItsFirst*'
mutation stops-while-it-starts dispatcher/cli/run_command.cpp \
  's/LeaveAtOnceAt\(stop_signals\);/Block(stop_signals);/' \
  process_test 'Process.StoppedWhileItStillMigrates*'
mutation connect-limit dispatcher/store/database_url.cpp \
  's/std::min\(limit, std::chrono::seconds\(seconds\)\)/std::chrono::seconds(seconds)/' \
  store_test 'Connecting.TakesFiveSeconds*'
mutation connects-in-what-is-left dispatcher/store/connection.cpp \
  's/std::min\(left, kConnectLimit\)/kConnectLimit/' \
  store_test 'Connecting.TakesNoLonger*'
mutation database-url-values dispatcher/store/database_url.cpp \
  's/return FaultOfValues\(\*words\);/return std::nullopt;/' \
  store_test 'DatabaseUrl.IsRefusedWhenAValue*'
mutation newer-database-is-bad-configuration dispatcher/store/migrate.cpp \
  's/throw NeedsNewerBinary\(\*fault\);/return Error{*fault};/' \
  configuration_test 'Configuration.ADatabaseThatDoesNotFit*'
mutation rights-at-the-start dispatcher/cli/run_command.cpp \
  's/return refused\.what\(\) \+.*?\);/return std::nullopt;/s' \
  configuration_test 'Configuration.ARoleWithoutRights*'
mutation given-up-after-twenty dispatcher/dispatch/dispatcher.cpp \
  's/delivery\.returns >= kMaxReturns/false/' \
  machine_test 'Machine.OutOfDescriptorsForGood*'
mutation pause-after-a-fault dispatcher/dispatch/dispatcher.cpp \
  's/admission_\.PauseAll\(now \+ kPauseAfterFault\);/;/' \
  machine_test 'Machine.OutOfDescriptorsForGood*'
mutation egress-deny-reaches-the-policy dispatcher/cli/run_command.cpp \
  's/options\.egress_deny\)/{})/' \
  options_test 'Options.EgressDeny*'
mutation said-once-an-outage dispatcher/dispatch/claim_loop.cpp \
  's/std::exchange\(said_, fault\) != fault && !connected/!connected/' \
  manners_test 'Manners.SaysAnOutageOnce'
mutation claims-own-ends-logged dispatcher/dispatch/dispatcher.cpp \
  's/    LogNotDelivered\(finished\.call.*?;\n//s' \
  manners_test 'Manners.LogsEachCall*'
mutation large-bodies-signed-apart dispatcher/dispatch/dispatcher.cpp \
  's/kSignedByNetwork = .*?;/kSignedByNetwork = std::size_t{1} << 40;/' \
  manners_test 'Manners.ALargeSignedBody*'
mutation slow-addresses-yield dispatcher/http/transfer.cpp \
  's/if \(!untried_\.empty\(\)\) context_\.limit_connect\(\*this, attempts_\);//' \
  http_integration_test 'Address.ThatDoesNotConnect*'
mutation log-unread common/log.cpp \
  's/overrun_oldest/block/' \
  manners_test 'Manners.WithALogThatNobodyReads*'
mutation settings-limit dispatcher/store/sources.cpp \
  's/CASE WHEN octet_length\(text\.json\) <= \$2::bigint THEN/CASE WHEN true THEN/' \
  store_test 'ClaimSources.ShowNoSettingsThatAreTooLarge*'
mutation numbers-unread dispatcher/store/sources.cpp \
  's/WHEN headers \@\? numbers THEN/WHEN false THEN/' \
  store_test 'ClaimSources.AreNotFilled*'
mutation analysis-holds-no-row migrations/0007_analysis_hints.sql \
  's/ AND o\.xmin = pg_current_xact_id\(\)::xid//' \
  migrations_test 'AnalysisWait.HoldsNoRow*'
mutation newcomers-spared dispatcher/admin/admin_server.cpp \
  's/const auto end = sessions_\.end\(\) - [^;]*;/const auto end = sessions_.end();/' \
  admin_test 'FullPort.*'
mutation waiting-calls-not-walked dispatcher/store/claim.cpp \
  's/ AND NOT o\.awaits_analysis(\n                   ORDER BY o\.agent_id LIMIT 1\)\n            FROM onward)/$1/' \
  store_test 'Claim.IsAsQuickWhenManyCalls*'
mutation locked-rows-skipped dispatcher/store/claim.cpp \
  's/LIMIT coalesce\(\(\$4::jsonb ->> agent\.agent_id\)::int, \$3::int\)\n                FOR UPDATE SKIP LOCKED/LIMIT coalesce((\$4::jsonb ->> agent.agent_id)::int, \$3::int)\n                FOR UPDATE/' \
  store_test 'Claim.NeverWaits*'
mutation held-rows-left-out dispatcher/store/held_rows.h \
  's/if \(unavailable\.sqlstate\(\) != "55P03"\) throw;/throw;/' \
  store_test 'Recording.IsNotHeldUpByARowThatSomebody*:GivingBack.IsNotHeldUpByARowThatSomebody*'
mutation held-outcomes-kept dispatcher/dispatch/recorder.cpp \
  's/std::move\(first, batch\.end\(\), std::back_inserter\(aside\)\);/;/' \
  database_test 'Database.HasOneRow*'
mutation held-rows-unswept dispatcher/store/liveness.cpp \
  's/ SKIP LOCKED\)\n    UPDATE/)\n    UPDATE/g' \
  store_test 'SweepingBesideAHolder.*'
mutation outcomes-bounded dispatcher/dispatch/claim_loop.cpp \
  's/if \(spine_\.unrecorded\(\) > .*?\) return false;/;/' \
  database_test 'Database.TakesNoOutcomes*'
mutation reads-end-in-time dispatcher/store/sources.cpp \
  's/\n           AND \(r\.position = 0 OR .*?750 ms.\)//' \
  store_test 'ClaimSources.AreReadForAMoment*'
mutation long-reads-set-aside dispatcher/store/unreadable.h \
  's/- start < kLongRead/- start < std::chrono::hours(1)/' \
  store_test 'ClaimSources.ThatTakeTooLong*'
mutation unread-calls-alone dispatcher/store/claim.cpp \
  's/row\.unread > 0; \}\)/false \&\& row.unread > 0; })/' \
  store_test 'ClaimSources.ThatTakeTooLong*'
mutation damaged-rows-set-aside dispatcher/store/halves.h \
  's/, "XX"\}/}/' \
  store_test 'ClaimSources.HoldUpNoOtherAgent*'
mutation plans-told-from-rows dispatcher/store/transaction.cpp \
  's/if \(was_planned_before_\) throw/if (true) throw/' \
  store_test 'ClaimSources.HoldUpNoOtherAgent*'
mutation isolation-level dispatcher/store/transaction.cpp \
  's/\n    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;//' \
  store_test 'Connecting.IsolatesAsLittle*'
mutation not-back-is-not-sent dispatcher/dispatch/recorder.cpp \
  's/      RecordNotBack\(given_back\.not_back\);\n//' \
  machine_test 'Machine.OutOfPortsSays*'
mutation full-endpoints-walked-past dispatcher/dispatch/claim_loop.cpp \
  's/if \(2 \* used < claimed\.candidates \&\& /if (false \&\& /' \
  isolation_test 'Isolation.TenThousand*'
mutation waiting-agents-known dispatcher/dispatch/admission.cpp \
  's/        agent\.last_seen = now;  \/\/ or it would be forgotten.*?\n//' \
  dispatch_test 'Admission.KnowsWhoWaits*'

# ---- the work

wanted=()
check=
for argument in "$@"; do
  case $argument in
    --list)
      for entry in "${mutations[@]}"; do echo "${entry%%$'\037'*}"; done
      exit
      ;;
    --check) check=yes ;;
    -*)
      echo "usage: tests/mutate.sh [--list | --check] [NAME...]" >&2
      exit 2
      ;;
    *) wanted+=("$argument") ;;
  esac
done

is_wanted() {
  local name
  ((${#wanted[@]})) || return 0
  for name in "${wanted[@]}"; do [[ $name == "$1" ]] && return 0; done
  return 1
}

# Into name, file, substitution, binary and filter.
take_apart() {
  IFS=$'\037' read -r -d '' name file substitution binary filter <<<"$1" || true
  filter=${filter%$'\037'*}
}

# Exit status of the tests; one that runs no test is a mistake of this script.
run_tests() {
  local program output status=0
  program=$(find "$build" -type f -name "$binary" -perm -u+x -print -quit)
  output=$(timeout 300 "$program" --gtest_filter="$filter" 2>&1) || status=$?
  red=$(grep -m 1 -oP '^\[  FAILED  \] \K\S+' <<<"$output" || true)
  if grep -q '^\[==========\] 0 tests' <<<"$output"; then
    echo "tests/mutate.sh: $binary has no test $filter" >&2
    exit 1
  fi
  return "$status"
}

# Takes out of a file what the mutation names.
mutate() {
  perl -0777 -pi -e "$substitution or die qq(no match\n)" -- "$1" || {
    echo "tests/mutate.sh: $name does not match $file any more: bring it up to date" >&2
    exit 1
  }
}

compile() {
  cmake --build "$build" --parallel "$(nproc)" --target postcall-dispatcher "$@" >"$build/output" 2>&1 || {
    tail -n 30 "$build/output" >&2
    return 1
  }
}

if [[ -n $check ]]; then
  mutated=$(mktemp)
  trap 'rm -f -- "$mutated"' EXIT
  for entry in "${mutations[@]}"; do
    take_apart "$entry"
    cp -- "$root/$file" "$mutated"
    mutate "$mutated"
  done
  echo "${#mutations[@]} mutations match"
  exit
fi

"$root/deploy/install-packages.sh" build database tests
rm -rf -- "$copy"
mkdir -p -- "$copy"
(cd -- "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy")
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=true
# What a mutation leaves unused is no reason not to compile.
cmake -S "$copy" -B "$build" -G Ninja --log-level=WARNING -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O2 -g1 -DNDEBUG -w'

chosen=()
binaries=()
for entry in "${mutations[@]}"; do
  take_apart "$entry"
  is_wanted "$name" || continue
  chosen+=("$entry")
  binaries+=("$binary")
done
((${#chosen[@]})) || { echo "tests/mutate.sh: no mutation of that name" >&2; exit 2; }
mapfile -t binaries < <(printf '%s\n' "${binaries[@]}" | sort -u)
compile "${binaries[@]}"

for entry in "${chosen[@]}"; do
  take_apart "$entry"
  run_tests || { echo "tests/mutate.sh: $binary $filter fails without a mutation: $red" >&2; exit 1; }
done

survived=()
for entry in "${chosen[@]}"; do
  take_apart "$entry"
  cp -- "$copy/$file" "$build/whole"
  mutate "$copy/$file"
  compile "$binary" || { echo "tests/mutate.sh: $name does not compile" >&2; exit 1; }
  if run_tests; then
    survived+=("$name")
    printf '%-28s SURVIVED %s\n' "$name" "$filter"
  else
    printf '%-28s caught by %s\n' "$name" "${red:-the time limit}"
  fi
  cp -- "$build/whole" "$copy/$file"
done

echo "${#chosen[@]} mutations, $((${#chosen[@]} - ${#survived[@]})) caught"
((${#survived[@]} == 0))
