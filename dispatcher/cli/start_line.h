// Logs one line at the start of `run`: its settings, database and addresses, so that an operator need not ask
// for them (CONTRACT §5). Main thread.
#pragma once

#include <optional>
#include <string>

#include "dispatcher/cli/options.h"
#include "dispatcher/dispatch/dispatcher.h"
#include "dispatcher/store/database_facts.h"

namespace postcall::cli {

// `made` has the limits after adjustment. `facts` has no value while the database is away.
void LogStart(const Options& options, const dispatch::DispatcherOptions& made,
              const std::string& admin_address, const std::optional<store::DatabaseFacts>& facts);

}  // namespace postcall::cli
