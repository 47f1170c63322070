// The functions, views and triggers of a database: finds those that are not as this binary has them, and
// applies them (migrations/README.md). Blocks; on the thread that owns the transaction.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "dispatcher/postgres/transaction.h"

namespace postcall::store {

// The files that the database lacks, or has with another text: "functions/webhook_enqueue". In the order in
// which they are applied. None when a newer binary has migrated the database: an older one does not change
// it.
std::vector<std::string> PendingDefinitions(postgres::Transaction& transaction, bool own_tables);

// Applies these files and stores their checksums; returns all that were applied. It does not use the search
// path of the caller: a function keeps the one that it is created with, and that is our schema alone. A view
// that gets other columns is dropped and created again, and so are those of our views that read it. An error
// names the file. Throws what FaultOfFile throws.
Result<std::vector<std::string>> ApplyDefinitions(postgres::Transaction& transaction,
                                                  const std::string& schema,
                                                  const std::vector<std::string>& files);

// For the catch block of a file's statements: returns the error with the file's name. Throws the error again
// when the file is not at fault: the connection is lost, or the transaction is to be tried again.
Error FaultOfFile(const std::string& file, const postgres::DatabaseError& error);

// The transaction was ended by others: it waited too long for a lock, or there was a deadlock.
bool IsToBeTriedAgain(const postgres::DatabaseError& error);

}  // namespace postcall::store
