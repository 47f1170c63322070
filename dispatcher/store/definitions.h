// The functions, views and triggers of a database: which of them are not as this binary has them, and how
// they become so (migrations/README.md). Blocks; on the thread that owns the transaction.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dispatcher/postgres/transaction.h"

namespace postcall::store {

// Lists the files that the database lacks, or has with another text; in order. None when a newer binary has
// migrated the database: an older one leaves that as it is. Its parameters are PendingParameters.
extern const char* const kPendingDefinitions;

struct PendingParameters {
  explicit PendingParameters(bool own_tables);

  std::string names;
  std::string checksums;
  std::string version = POSTCALL_VERSION;
};

// Applies these files and writes their checksums down; returns all that were applied. Not in the search path
// of the caller: a function keeps the one that it is created with, and that is our schema alone. A view that
// gets other columns is dropped and created again, and with it those of our views that read it. An error
// names the file. Throws what FaultOfFile throws.
Result<std::vector<std::string>> ApplyDefinitions(postgres::Transaction& transaction,
                                                  const std::string& schema,
                                                  std::set<std::string, std::less<>> files);

// For the catch block of a file's statements: the error with the file's name. Throws the error again when the
// file is not at fault: the connection is lost, or the transaction is to be tried again.
Error FaultOfFile(const std::string& file, const postgres::DatabaseError& error);

// The transaction was ended by others: it waited too long for a lock, or there was a deadlock.
bool IsToBeTriedAgain(const postgres::DatabaseError& error);

}  // namespace postcall::store
