// What the platform of a torture run expects of its calls: whether a call must be enqueued, how it may end,
// what its payload must contain. It is a table in the same database, written in the transaction that
// completes the call, so that a commit in doubt is in doubt for both. The calling thread.
#pragma once

#include <map>
#include <pqxx/pqxx>
#include <set>
#include <string>
#include <vector>

#include "tests/support/request_ledger.h"

namespace postcall::test {

struct Expectation {
  bool enqueued = true;
  std::vector<std::string> outcomes = {};  // if `delivered` is one of them, disturbances allow more
  std::string words = {};                  // the payload must contain this text
};

// The disturbances that allow other outcomes.
struct Blows {
  std::set<std::string> frozen;     // labels of dispatchers that were stopped for a while
  bool connections_closed = false;  // by endpoints, at random
  bool Excuse(const std::string& outcome, const std::string& dispatcher, bool is_tls) const;
};

class Book {
 public:
  explicit Book(std::string database_url);

  // Adds the calls `prefix`1 … `prefix``count`, in the transaction that completes them.
  static void Write(pqxx::transaction_base& work, const std::string& prefix, int count,
                    const Expectation& expectation);

  // One sentence per violation. Calls with `load_prefix` are not in the book: all of them must be enqueued.
  std::vector<std::string> Violations(const std::string& load_prefix, const Blows& blows,
                                      const std::vector<const RequestLedger*>& ledgers) const;
  // The number of calls in the book.
  int size() const;

 private:
  const std::string database_url_;
};

}  // namespace postcall::test
