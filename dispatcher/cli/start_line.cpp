#include "dispatcher/cli/start_line.h"

#include <vector>

#include "common/log.h"
#include "dispatcher/http/ca_store.h"

namespace postcall::cli {
namespace {

std::string TextOf(const egress::Cidr& range) { return range.ToString(); }
std::string TextOf(const boost::asio::ip::address& address) { return address.to_string(); }

template <class Item>
std::string ListOf(const std::vector<Item>& items) {
  std::string list;
  for (const Item& item : items) list.append(list.empty() ? "" : ",").append(TextOf(item));
  return list.empty() ? "none" : list;
}

}  // namespace

void LogStart(const Options& options, const dispatch::DispatcherOptions& made,
              const std::string& admin_address, const std::optional<store::DatabaseFacts>& facts) {
  const auto role = facts ? std::optional(facts->role) : std::nullopt;
  log::Info("started", {{"version", POSTCALL_VERSION},
                        {"instance", made.instance},
                        {"database", facts ? facts->database : postgres::Session(made.database).place()},
                        {"server", facts ? facts->server : "not reached yet"},
                        {"role", role},
                        {"admin", admin_address},
                        {"max_in_flight", made.limits.in_flight},
                        {"max_in_flight_per_agent", made.limits.per_agent},
                        {"max_in_flight_per_endpoint", made.limits.per_endpoint},
                        {"slow_share", made.limits.slow_share},
                        {"max_body_memory", made.limits.body_bytes},
                        {"network_threads", made.network_threads},
                        {"claim_sessions", made.claim_sessions},
                        {"timeout_ms", made.http.timeout.count()},
                        {"egress_allow", ListOf(options.egress_allow)},
                        {"egress_deny", ListOf(options.egress_deny)},
                        {"source_address", ListOf(options.source_addresses)},
                        {"ca_file", http::CaFile(made.http.ca_file)},
                        {"retention_days", made.retention_days},
                        {"ledger_days", made.ledger_days},
                        {"response_body_bytes", made.http.response_body_bytes}});
}

}  // namespace postcall::cli
