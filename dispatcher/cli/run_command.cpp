// `run`: the service, from start to drain (CONTRACT §5). The main thread sets everything up, then waits for a
// signal.
#include <libpq-fe.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/log.h"
#include "dispatcher/admin/admin_server.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/start_line.h"
#include "dispatcher/dispatch/dispatcher.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/http/engine.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/postgres/sqlstate.h"
#include "dispatcher/store/database_facts.h"
#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/record.h"
#include "schema/outcome.h"

namespace postcall::cli {
namespace {

// Descriptors that are not for POSTs: the admin port, the database, name lookups, the log.
constexpr std::int64_t kOtherDescriptors = 100;
constexpr std::int64_t kDescriptorsPerNetworkThread = 8;
constexpr std::int64_t kMostIdleConnections = 16'384;

constexpr auto kStuckAfter = std::chrono::seconds(30);  // CONTRACT §8, /healthz

// At the end, outcomes that are not in the database are printed to standard error; its reader has this time.
constexpr auto kPrintWithin = std::chrono::milliseconds(500);

// SIGHUP (the terminal was closed) is one of them, unless it is ignored, as nohup does.
std::vector<int> StopSignals() {
  std::vector<int> signals = {SIGTERM, SIGINT};
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) signals.push_back(SIGHUP);
  return signals;
}

// Before the service starts nothing is in flight, so the process can end at once. It needs a handler: without
// one, a signal does nothing to the first process of a container.
void LeaveAtOnceAt(const std::vector<int>& signals) {
  for (const int signal : signals)
    std::signal(signal, [](int) { std::_Exit(static_cast<int>(ExitCode::kDone)); });
}

// From now on these signals reach only the thread that waits for them, because new threads inherit the mask.
sigset_t Block(const std::vector<int>& signals) {
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : signals) sigaddset(&blocked, signal);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  return blocked;
}

// These signals have no meaning here. By default they would end the process, and its deliveries with it.
void IgnoreOtherSignals() {
  for (const int meaningless : {SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM}) std::signal(meaningless, SIG_IGN);
}

// Raises the limit of open descriptors as far as the system allows, and returns it.
std::int64_t RaiseDescriptorLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, 1 << 24));
}

dispatch::DispatcherOptions ToDispatcherOptions(const Options& options) {
  dispatch::DispatcherOptions made;
  made.database = {options.database_url, "postcall-dispatcher"};
  made.instance = options.instance;
  made.limits.in_flight = options.max_in_flight;
  made.limits.per_agent = options.max_in_flight_per_agent;
  made.limits.per_endpoint = options.max_in_flight_per_endpoint;
  made.limits.slow_share = options.slow_share;
  made.limits.body_bytes = options.max_body_memory;
  made.network_threads = options.network_threads;
  made.claim_sessions = options.claim_sessions;
  made.http.timeout = options.timeout;
  made.http.response_body_bytes = static_cast<std::size_t>(options.response_body_bytes);
  made.http.ca_file = options.ca_file;
  made.egress = egress::Policy(options.egress_allow, options.egress_deny);
  made.sources = http::SourceAddresses(options.source_addresses);
  made.retention_days = options.retention_days;
  made.ledger_days = options.ledger_days;

  const std::int64_t descriptors =
      RaiseDescriptorLimit() - kOtherDescriptors - kDescriptorsPerNetworkThread * options.network_threads;
  // One more per POST: its connection stays open afterwards, so that it can be used again.
  const std::int64_t per_post = static_cast<std::int64_t>(http::kDescriptorsPerPost) + 1;
  const std::int64_t fitting = std::max<std::int64_t>(1, descriptors / per_post);
  made.limits.in_flight = static_cast<int>(std::min<std::int64_t>(fitting, made.limits.in_flight));
  const std::int64_t left =
      descriptors - made.limits.in_flight * static_cast<std::int64_t>(http::kDescriptorsPerPost);
  made.http.max_idle_connections =
      static_cast<std::size_t>(std::clamp<std::int64_t>(left, 1, kMostIdleConnections));
  return made;
}

// Prints an outcome that could not be recorded, because the database is away. Standard error is the only
// place left.
bool PrintUnrecorded(const store::Finished& finished, SteadyTime by) {
  nlohmann::ordered_json line;
  line["event"] = "unrecorded outcome";
  line["id"] = finished.key.id.get();
  line["claim_id"] = finished.key.claim_id.get().ToString();
  line["claimed_at_us"] = finished.key.claimed_at.time_since_epoch().count();
  line["finished_at_us"] = finished.finished_at.time_since_epoch().count();
  line["cause"] = ToString(finished.cause);
  line["outcome"] = ToString(finished.result.outcome);
  if (finished.result.reached) line["reached"] = ToString(*finished.result.reached);
  if (finished.result.http_status) line["http_status"] = *finished.result.http_status;
  if (!finished.result.error.empty()) line["error"] = finished.result.error;
  line["total_ms"] = finished.result.times.total;
  return log::Print(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace), by);
}

admin::Health HealthOf(const dispatch::Dispatcher& dispatcher) {
  const std::vector<std::string> stuck = dispatcher.StuckSince(Steady::now() - kStuckAfter);
  if (stuck.empty()) return {};
  std::string reason = "threads without progress for 30 s:";
  for (const std::string& name : stuck) reason += " " + name;
  return {false, reason};
}

admin::Probes ProbesOf(dispatch::Dispatcher& dispatcher, metrics::Metrics& metrics) {
  return {
      .metrics =
          [&] {
            dispatcher.SampleGauges();
            return metrics.Expose();
          },
      .health = [&] { return HealthOf(dispatcher); },
      .ready =
          [&] {
            const std::optional<std::string> why_not = dispatcher.WhyNotReady();
            return admin::Readiness{!why_not, why_not.value_or("")};
          },
  };
}

// What the database says before the service starts.
struct FirstLook {
  std::optional<std::string> fault;
  std::optional<store::DatabaseFacts> facts;  // no value: it is away
};

// A database that does not fit ends the start. While the database is away, the service waits for it, as it
// does later.
FirstLook LookAt(const std::string& database_url) {
  try {
    postgres::Session session({database_url, "postcall-dispatcher"});
    if (auto fault = store::FaultOfDatabase(session)) return {std::move(fault), std::nullopt};
    return {std::nullopt, store::ReadDatabaseFacts(session)};
  } catch (const postgres::Unavailable&) {
    return {};
  } catch (const postgres::Refused& refused) {
    const bool lacks_rights = postgres::IsInsufficientPrivilege(refused.sqlstate());
    return {
        refused.what() + std::string(lacks_rights ? ": run `SELECT webhook_grant_roles()` as the owner and "
                                                    "make this role a member of postcall_service"
                                                  : "; use another database, or correct this one"),
        std::nullopt};
  }
}

std::string LibpqVersion() {
  const int version = PQlibVersion();
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000);
}

}  // namespace

ExitCode RunCommand(const Options& options) {
  const std::vector<int> stop_signals = StopSignals();
  LeaveAtOnceAt(stop_signals);
  IgnoreOtherSignals();
  http::InitialiseLibrary();

  if (options.migrate) {
    if (const ExitCode code = MigrateCommand(options); code != ExitCode::kDone) return code;
  }

  const FirstLook look = LookAt(options.database_url);
  if (look.fault) {
    std::cerr << "postcall-dispatcher: " << *look.fault << '\n';
    return ExitCode::kBadUsage;
  }

  const sigset_t signals = Block(stop_signals);
  metrics::Metrics metrics(
      {.version = POSTCALL_VERSION, .libcurl = http::LibraryVersion(), .libpq = LibpqVersion()});
  std::unique_ptr<dispatch::Dispatcher> dispatcher;
  std::unique_ptr<admin::AdminServer> admin;
  const dispatch::DispatcherOptions made = ToDispatcherOptions(options);
  try {
    dispatcher = std::make_unique<dispatch::Dispatcher>(made, metrics);
    admin = std::make_unique<admin::AdminServer>(admin::AdminOptions{.listen = options.admin_listen},
                                                 ProbesOf(*dispatcher, metrics));
  } catch (const std::runtime_error& error) {  // a setting names a file or an address that cannot be used
    std::cerr << "postcall-dispatcher: " << error.what() << '\n';
    return ExitCode::kBadUsage;
  }
  if (made.limits.in_flight < options.max_in_flight) {
    log::Warning(
        "--max-in-flight is lowered because of the limit of open files; raise that limit (ulimit -n)",
        {{"wanted", options.max_in_flight}, {"now", made.limits.in_flight}});
  }
  for (const std::string& missing : made.sources.Missing()) {
    log::Warning("this machine does not have its source address, calls wait until it does (--source-address)",
                 {{"address", missing}});
  }
  if (options.admin_token) log::Warning("--admin-token-file is not used yet and protects nothing");
  if (look.facts && look.facts->remark) log::Warning(*look.facts->remark, {{"server", look.facts->server}});
  LogStart(options, made, admin->address(), look.facts);
  dispatcher->Start();

  int signal = 0;
  sigwait(&signals, &signal);
  log::Info("stopping, claiming no more, waiting for the deliveries in flight",
            {{"signal", strsignal(signal)}});
  const dispatch::Dispatcher::Stopped stopped = dispatcher->Stop();
  admin->Stop();
  const SteadyTime by = Steady::now() + kPrintWithin;
  for (const store::Finished& finished : stopped.unrecorded) {
    if (!PrintUnrecorded(finished, by)) break;
  }
  if (!stopped.unrecorded.empty() || stopped.cut_off > 0) return ExitCode::kFailed;
  log::Info("stopped");
  return ExitCode::kDone;
}

}  // namespace postcall::cli
