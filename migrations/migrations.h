// The SQL of the database, as the binary carries it (README.md here). Any thread; constants.
#pragma once

#include <span>
#include <string_view>

namespace postcall::migrations {

// A binary may work on a database when its number is at least the database's. A migration that works with
// older binaries keeps the number of the migration before it, so that a rolling upgrade works (CONTRACT §5,
// `migrate`).
inline constexpr int kCompatibility = 1;

enum class Kind {
  kAlways,
  kSourceTables,  // about the platform's tables: skipped with --own-tables (CONTRACT §3)
};

// Tables. Applied once to a database, in one transaction.
struct Migration {
  int version = 0;
  std::string_view file;  // "0003_outbox"
  std::string_view name;  // "outbox"
  std::string_view sql;   // one or more statements
  Kind kind = Kind::kAlways;
  int compatibility = kCompatibility;  // what the database demands once it is applied
};

// Ascending, without a gap, from version 1.
std::span<const Migration> All();

// A function, a view, or the triggers of a table. Applied again whenever its text has changed.
struct Definition {
  std::string_view file;      // "functions/webhook_enqueue"
  std::string_view sql;       // one or more statements that may run any number of times
  std::string_view checksum;  // SHA-256 of `sql`, in hex
  Kind kind = Kind::kAlways;
};

// In an order in which each comes after those that it needs.
std::span<const Definition> Definitions();

}  // namespace postcall::migrations
