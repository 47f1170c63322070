// What the platform of a torture run knows of its calls beforehand: whether a call is to be enqueued, how it
// may end, what its payload must say. A table beside the platform's own, written in the transaction that
// completes the call, so that a commit in doubt is in doubt for both. The thread that asks.
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
  std::vector<std::string> outcomes = {};  // besides what the disturbances excuse, when delivery is one
  std::string words = {};                  // somewhere in the payload
};

// What excuses an outcome that is nobody's own.
struct Blows {
  std::set<std::string> frozen;     // labels of dispatchers that were stopped for a while
  bool connections_closed = false;  // by endpoints, at random
  bool Excuse(const std::string& outcome, const std::string& dispatcher, bool is_tls) const;
};

class Book {
 public:
  explicit Book(std::string database_url);

  // Calls `prefix`1 … `prefix``count`; in the transaction that completes them.
  static void Write(pqxx::transaction_base& work, const std::string& prefix, int count,
                    const Expectation& expectation);

  // A sentence a thing that is not as it was to be. Calls `load_prefix`… are not in the book: all are
  // enqueued.
  std::vector<std::string> Violations(const std::string& load_prefix, const Blows& blows,
                                      const std::vector<const RequestLedger*>& ledgers) const;
  // Calls in the book.
  int size() const;

 private:
  const std::string database_url_;
};

}  // namespace postcall::test
