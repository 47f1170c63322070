#include "tests/support/oracle.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <pqxx/pqxx>
#include <utility>

namespace postcall::test {
namespace {

using Seconds = std::chrono::duration<double>;

// A 2xx that was complete this long before the deadline must be recorded as delivered.
constexpr Seconds kSurelyInTime{0.25};

constexpr std::size_t kMostOfAKind = 10;

class Sentences {
 public:
  // `kind` is the rule that was broken, `what` is the case.
  void Add(const std::string& kind, const std::string& what) {
    if (++counts_[kind] <= kMostOfAKind) sentences_.push_back(kind + ": " + what);
  }

  std::vector<std::string> Take() {
    for (const auto& [kind, count] : counts_) {
      if (count > kMostOfAKind) sentences_.push_back(kind + ": " + std::to_string(count) + " in all");
    }
    return std::move(sentences_);
  }

 private:
  std::vector<std::string> sentences_;
  std::map<std::string, std::size_t> counts_;
};

// What the endpoints know about a call.
struct Witness {
  std::size_t requests = 0;
  bool saw_2xx = false;                   // a 2xx was begun
  std::optional<SteadyTime> answered_at;  // a whole good 2xx was written to the socket
};

// Whether Respond made the answer, so that it is well-formed.
bool IsGood(const RequestEntry& request) { return request.answer == std::to_string(*request.answer_status); }

std::map<std::string, Witness> Hear(const std::vector<const RequestLedger*>& ledgers) {
  std::map<std::string, Witness> calls;
  for (const RequestLedger* ledger : ledgers) {
    for (const RequestEntry& request : ledger->Requests()) {
      Witness& witness = calls[request.call_id];
      ++witness.requests;
      if (request.answer_began_at && request.answer_status.value_or(0) / 100 == 2) {
        witness.saw_2xx = true;
        if (IsGood(request)) witness.answered_at = request.answer_ended_at;
      }
    }
  }
  return calls;
}

struct Row {
  std::string outcome;
  std::string reached;
  std::optional<Seconds> started_at;  // by the database's clock; no value while it is not known
};

}  // namespace

Oracle::Oracle(std::string database_url, std::vector<const RequestLedger*> ledgers,
               std::chrono::milliseconds timeout)
    : database_url_(std::move(database_url)), ledgers_(std::move(ledgers)), timeout_(timeout) {}

bool Oracle::WaitUntilSettled(std::chrono::milliseconds limit) const {
  const SteadyTime deadline = Steady::now() + limit;
  while (!IsSettled()) {
    if (Steady::now() >= deadline) return false;
    ::usleep(50'000);  // the database has no event to wait for
  }
  return true;
}

bool Oracle::IsSettled() const {
  try {
    pqxx::connection connection(database_url_);
    return pqxx::nontransaction(connection)
        .exec(
            "SELECT NOT EXISTS (SELECT FROM webhook_outbox)"
            " AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE outcome = 'in_flight')")[0][0]
        .as<bool>();
  } catch (const pqxx::failure&) {
    return false;  // it is away
  }
}

std::vector<std::string> Oracle::Violations(const Excuses& excuses,
                                            const std::vector<const Service*>& lived) const {
  Sentences wrong;
  pqxx::connection connection(database_url_);
  pqxx::nontransaction work(connection);
  const pqxx::result rows = work.exec(
      "SELECT call_id, cause, outcome, coalesce(reached, ''),"
      " extract(epoch FROM finished_at) - total_ms / 1000.0,"
      " concat_ws(', ', url, dispatcher, CASE WHEN connection_reused THEN 'reused' END, finished_at)"
      " FROM webhook_deliveries");
  // The ledgers are read after the rows, so they have all requests that the rows know.
  std::map<std::string, Witness> witnesses = Hear(ledgers_);

  // Both clocks are read once here, to convert the ledgers' times to the database's.
  const SteadyTime steady_now = Steady::now();
  const Seconds database_now(work.exec("SELECT extract(epoch FROM clock_timestamp())")[0][0].as<double>());
  const auto to_database = [&](SteadyTime moment) { return database_now + Seconds(moment - steady_now); };

  for (const auto& row : work.exec("SELECT call_id FROM webhook_enqueued e WHERE 1 <>"
                                   " (SELECT count(*) FROM webhook_deliveries d"
                                   "   WHERE d.call_id = e.call_id AND d.cause = 'completion')")) {
    wrong.Add("an enqueued call does not have exactly one row", row[0].as<std::string>());
  }
  for (const auto& row : work.exec("SELECT call_id FROM webhook_deliveries WHERE outcome = 'in_flight'")) {
    wrong.Add("a row is still in flight", row[0].as<std::string>());
  }
  if (const int unaccounted = work.exec("SELECT unaccounted FROM webhook_reconciliation")[0][0].as<int>();
      unaccounted != 0) {
    wrong.Add("calls are unaccounted for", std::to_string(unaccounted) + " unaccounted");
  }

  std::map<std::string, std::size_t> deliveries;  // per call, with resends
  for (const auto& entry : rows) {
    const auto call = entry[0].as<std::string>();
    ++deliveries[call];
    if (entry[1].as<std::string>() != "completion") continue;
    const Row row{entry[2].as<std::string>(), entry[3].as<std::string>(),
                  entry[4].is_null() ? std::nullopt : std::optional(Seconds(entry[4].as<double>()))};
    const Witness& witness = witnesses[call];
    if ((row.reached == "nothing" || row.reached == "connected") && witness.requests > 0) {
      wrong.Add("an endpoint saw a request, but the row's reached is '" + row.reached + "'",
                call + " (" + row.outcome + ")");
    }
    if (row.outcome == "delivered" && !witness.saw_2xx) {
      wrong.Add(
          "'delivered' although no endpoint answered 2xx",
          call + " (" + entry[5].as<std::string>() + "), " + std::to_string(witness.requests) + " requests");
    }
    if (row.outcome == "delivered" || !witness.answered_at) continue;
    if (excuses.killed && row.outcome == "unknown") continue;
    if (excuses.stopped && row.outcome == "timeout") continue;
    if (!row.started_at ||
        to_database(*witness.answered_at) + kSurelyInTime <= *row.started_at + Seconds(timeout_)) {
      wrong.Add("a 2xx in time is not 'delivered'", call + " (" + row.outcome + ")");
    }
  }

  for (const auto& [call, witness] : witnesses) {
    if (witness.requests > std::max<std::size_t>(deliveries[call], 1)) {
      wrong.Add("sent more than once", call + ", " + std::to_string(witness.requests) + " requests");
    }
    if (deliveries[call] == 0 && witness.requests > 0 && !call.empty()) {
      wrong.Add("sent, but not in the log", call);
    }
  }

  if (!lived.empty()) {
    double resolved = 0;
    for (const Service* service : lived) {
      resolved += service->Metric("postcall_unknown_resolved_total").value_or(0);
    }
    for (const std::string outcome :
         {"delivered", "rejected", "timeout", "dns_error", "connect_error", "tls_error", "network_error",
          "blocked", "invalid_settings", "skipped", "not_sent", "unknown"}) {
      double counted = outcome == "unknown" ? -resolved : 0;
      for (const Service* service : lived) {
        for (const std::string cause : {"completion", "resend", "test"}) {
          counted +=
              service
                  ->Metric("postcall_deliveries_total{cause=\"" + cause + "\",outcome=\"" + outcome + "\"}")
                  .value_or(0);
        }
      }
      const auto logged =
          work.exec_params("SELECT count(*) FROM webhook_deliveries WHERE outcome = $1", outcome)[0][0]
              .as<double>();
      if (counted != logged) {
        wrong.Add("metrics and log differ", outcome + ": " + std::to_string(counted) + " counted, " +
                                                std::to_string(logged) + " logged");
      }
    }
  }
  return wrong.Take();
}

}  // namespace postcall::test
