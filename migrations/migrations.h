// The migrations of the database, in order, as the binary carries them. Any thread; constants.
#pragma once

#include <span>
#include <string_view>

namespace postcall::migrations {

// The oldest binaries that may work on a database have its number or a higher one. A migration that older
// binaries can live with keeps the number of the one before, so that a rolling upgrade works (CONTRACT §5,
// `migrate`).
inline constexpr int kCompatibility = 1;

enum class Kind {
  kAlways,
  kSourceTables,  // about the platform's tables: skipped with --own-tables (CONTRACT §3)
};

struct Migration {
  int version = 0;
  std::string_view name;
  std::string_view sql;  // one or more statements, run in one transaction
  Kind kind = Kind::kAlways;
  int compatibility = kCompatibility;  // what the database demands once it is applied
};

// Ascending, without a gap, from version 1.
std::span<const Migration> All();

}  // namespace postcall::migrations
