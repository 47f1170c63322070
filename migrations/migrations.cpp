#include "migrations/migrations.h"

#include <array>

#include "sql.h"

namespace postcall::migrations {
namespace {

constexpr std::array kAll = {
    Migration{1, "source_tables", sql::k0001_source_tables, Kind::kSourceTables, 1},
    Migration{2, "tables", sql::k0002_tables, Kind::kAlways, 1},
    Migration{3, "enqueue", sql::k0003_enqueue, Kind::kAlways, 1},
    Migration{4, "maintenance", sql::k0004_maintenance, Kind::kAlways, 1},
    Migration{5, "reports", sql::k0005_reports, Kind::kAlways, 1},
    Migration{6, "triggers", sql::k0006_triggers, Kind::kSourceTables, 1},
    Migration{7, "analysis_hints", sql::k0007_analysis_hints, Kind::kAlways, 1},
    Migration{8, "roles", sql::k0008_roles, Kind::kAlways, 1},
    Migration{9, "hardening", sql::k0009_hardening, Kind::kAlways, 1},
};

consteval bool CountsUp() {
  for (std::size_t i = 0; i < kAll.size(); ++i) {
    if (kAll[i].version != static_cast<int>(i) + 1) return false;
    if (i > 0 && kAll[i].compatibility < kAll[i - 1].compatibility) return false;
  }
  return kAll.back().compatibility == kCompatibility;
}
static_assert(CountsUp());

}  // namespace

std::span<const Migration> All() { return kAll; }

}  // namespace postcall::migrations
