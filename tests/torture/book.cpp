#include "tests/torture/book.h"

#include <algorithm>
#include <utility>

namespace postcall::test {
namespace {

// It reports at most this many violations of a kind.
constexpr const char* kMost = " LIMIT 10";

std::string Array(const std::vector<std::string>& words) {
  std::string array = "{";
  for (const std::string& word : words) array += (array.size() > 1 ? "," : "") + word;
  return array + "}";
}

}  // namespace

// `unknown` is allowed after a kill. That is checked elsewhere, by what each dispatcher had in flight.
bool Blows::Excuse(const std::string& outcome, const std::string& dispatcher, bool is_tls) const {
  if (outcome == "unknown") return true;
  if ((outcome == "timeout" || outcome == "connect_error") && frozen.contains(dispatcher)) return true;
  return connections_closed && (outcome == "network_error" || (is_tls && outcome == "tls_error"));
}

Book::Book(std::string database_url) : database_url_(std::move(database_url)) {
  pqxx::connection connection(database_url_);
  pqxx::nontransaction(connection)
      .exec(
          "CREATE TABLE expected_calls (call_id text PRIMARY KEY, enqueued boolean NOT NULL,"
          " outcomes text[] NOT NULL, words text NOT NULL)");
}

void Book::Write(pqxx::transaction_base& work, const std::string& prefix, int count,
                 const Expectation& expectation) {
  work.exec_params(
      "INSERT INTO expected_calls SELECT $1 || n, $3, $4::text[], $5 FROM generate_series(1, $2::int) n",
      prefix, count, expectation.enqueued, Array(expectation.outcomes), expectation.words);
}

std::vector<std::string> Book::Violations(const std::string& load_prefix, const Blows& blows,
                                          const std::vector<const RequestLedger*>& ledgers) const {
  std::vector<std::string> wrong;
  pqxx::connection connection(database_url_);
  pqxx::nontransaction work(connection);
  const std::string load = work.quote(load_prefix);
  for (const auto& [kind, query] : std::initializer_list<std::pair<std::string, std::string>>{
           {"is not enqueued but should be",
            "SELECT call_id FROM expected_calls WHERE enqueued"
            " UNION ALL SELECT id FROM calls WHERE starts_with(id, " +
                load +
                ")"
                " EXCEPT SELECT call_id FROM webhook_enqueued"},
           {"is enqueued but should not be",
            "SELECT call_id FROM webhook_enqueued WHERE NOT starts_with(call_id, " + load +
                ")"
                " EXCEPT SELECT call_id FROM expected_calls WHERE enqueued"},
           {"is in the log but should not be",
            "SELECT call_id FROM webhook_deliveries JOIN expected_calls USING (call_id) WHERE NOT "
            "enqueued"}}) {
    for (const auto& row : work.exec(query + kMost)) wrong.push_back(row[0].as<std::string>() + ' ' + kind);
  }

  for (const auto& row : work.exec("SELECT call_id, outcome, dispatcher, coalesce(url, '') LIKE 'https:%',"
                                   " 'delivered' = ANY (outcomes)"
                                   " FROM webhook_deliveries JOIN expected_calls USING (call_id)"
                                   " WHERE enqueued AND outcome <> ALL (outcomes)")) {
    const auto outcome = row[1].as<std::string>();
    // A disturbance cannot change the outcome of a call that is never sent.
    if (row[4].as<bool>() && blows.Excuse(outcome, row[2].as<std::string>(), row[3].as<bool>())) continue;
    wrong.push_back(row[0].as<std::string>() + " ended as " + outcome);
  }

  std::map<std::string, std::string> words;
  for (const auto& row : work.exec("SELECT call_id, words FROM expected_calls WHERE words <> ''")) {
    words[row[0].as<std::string>()] = row[1].as<std::string>();
  }
  for (const RequestLedger* ledger : ledgers) {
    for (const RequestEntry& request : ledger->Requests()) {
      const auto expected = words.find(request.call_id);
      if (!request.complete || expected == words.end()) continue;
      if (request.body.find(expected->second) == std::string::npos) {
        wrong.push_back(request.call_id + " was sent without " + expected->second + ": " + request.body);
      }
    }
  }
  return wrong;
}

int Book::size() const {
  pqxx::connection connection(database_url_);
  return pqxx::nontransaction(connection).exec("SELECT count(*) FROM expected_calls")[0][0].as<int>();
}

}  // namespace postcall::test
