#include "migrations/migrations.h"

#include <algorithm>
#include <array>

#include "sql.h"

namespace postcall::migrations {
namespace {

consteval const sql::File& Find(std::string_view name) {
  const auto* const file = std::ranges::find(sql::kFiles, name, &sql::File::name);
  if (file == sql::kFiles.end()) throw "there is no such file";
  return *file;
}

// "0003_outbox" is version 3.
consteval Migration Tables(std::string_view file, Kind kind = Kind::kAlways, int compatibility = 1) {
  int version = 0;
  for (const char digit : file.substr(0, 4)) version = version * 10 + (digit - '0');
  return {.version = version,
          .file = file,
          .name = file.substr(5),
          .sql = Find(file).text,
          .kind = kind,
          .compatibility = compatibility};
}

consteval Definition Define(std::string_view file, Kind kind = Kind::kAlways) {
  return {.file = file, .sql = Find(file).text, .checksum = Find(file).checksum, .kind = kind};
}

constexpr std::array kAll = {
    Tables("0001_installation"), Tables("0002_source_tables", Kind::kSourceTables),
    Tables("0003_outbox"),       Tables("0004_deliveries"),
    Tables("0005_decisions"),    Tables("0006_dispatchers"),
    Tables("0007_sums"),
};

// PL/pgSQL looks up tables, views and functions when it runs, so only the order of the views matters.
constexpr std::array kDefinitions = {
    Define("functions/webhook_analysis_written"),
    Define("functions/webhook_call_changed"),
    Define("functions/webhook_calls_truncated"),
    Define("functions/webhook_close_hours"),
    Define("functions/webhook_decide"),
    Define("functions/webhook_drop_partitions"),
    Define("functions/webhook_enqueue"),
    Define("functions/webhook_enqueue_wanted"),
    Define("functions/webhook_find_agents"),
    Define("functions/webhook_grant_roles"),
    Define("functions/webhook_has_analysis"),
    Define("functions/webhook_keep_history"),
    Define("functions/webhook_make_partitions"),
    Define("functions/webhook_mark_suspect"),
    Define("functions/webhook_purge"),
    Define("functions/webhook_ready"),
    Define("functions/webhook_release_analysed"),
    Define("functions/webhook_release_hinted"),
    Define("functions/webhook_wait_at_most"),
    Define("functions/webhook_wait_for"),
    Define("views/webhook_partitions"),
    Define("views/webhook_enqueued"),
    Define("views/webhook_declined"),
    Define("views/webhook_recent"),
    Define("views/webhook_open_hours"),
    Define("views/webhook_reconciliation"),
    Define("views/webhook_failures"),
    Define("views/webhook_agent_health"),
    Define("views/webhook_certificates"),
    Define("triggers/webhook_deliveries"),
    Define("triggers/webhook_summary"),
    Define("triggers/calls", Kind::kSourceTables),
    Define("triggers/call_analysis", Kind::kSourceTables),
};

consteval bool CountsUp() {
  for (std::size_t i = 0; i < kAll.size(); ++i) {
    if (kAll[i].version != static_cast<int>(i) + 1) return false;
    if (i > 0 && kAll[i].compatibility < kAll[i - 1].compatibility) return false;
  }
  return kAll.back().compatibility == kCompatibility;
}
static_assert(CountsUp());

consteval bool EachFileIsListedOnce() {
  return std::ranges::all_of(sql::kFiles, [](const sql::File& file) {
    return std::ranges::count(kAll, file.name, &Migration::file) +
               std::ranges::count(kDefinitions, file.name, &Definition::file) ==
           1;
  });
}
static_assert(EachFileIsListedOnce());

}  // namespace

std::span<const Migration> All() { return kAll; }

std::span<const Definition> Definitions() { return kDefinitions; }

}  // namespace postcall::migrations
