#include "dispatcher/postgres/sqlstate.h"

#include <algorithm>
#include <array>

namespace postcall::postgres {
namespace {

// Classes of SQLSTATEs, or single codes of a class: each text is the beginning of the codes that it stands
// for.
constexpr std::array<std::string_view, 9> kAboutRows = {
    "0A",  // feature not supported: a view cannot do it for this row
    "21",  // a subquery has too many rows
    "22",  // data exception
    "23",  // integrity constraint
    "38",  // external routine: a function or trigger raised it
    "39",  // call of an external routine: the same
    "44",  // WITH CHECK OPTION of a view
    "54",  // a limit of size is exceeded
    "P0",  // a function in PL/pgSQL raised it
};

constexpr std::array<std::string_view, 7> kOfTheConnection = {
    "08",     // connection
    "57P",    // shutdown, crash, starting up
    "25001",  // a transaction is open that we did not begin
    "25P02",  // the same, and it failed
    "25006",  // read-only, as after a fail-over
    "25P03",  // idle in transaction for too long
    "25P04",  // a transaction that took too long, since PostgreSQL 17
};

constexpr std::array<std::string_view, 3> kPassing = {
    "53",  // out of resources
    "57",  // cancelled, statement_timeout
    "58",  // an error of the operating system
};

template <class Beginnings>
bool StartsWithOneOf(std::string_view sqlstate, const Beginnings& beginnings) {
  return std::ranges::any_of(beginnings, [&](std::string_view of) { return sqlstate.starts_with(of); });
}

}  // namespace

bool IsInsufficientPrivilege(std::string_view sqlstate) { return sqlstate == kInsufficientPrivilege; }

bool IsLockNotAvailable(std::string_view sqlstate) { return sqlstate == "55P03"; }

bool IsQueryCanceled(std::string_view sqlstate) { return sqlstate == "57014"; }

bool IsTransactionRollback(std::string_view sqlstate) { return sqlstate.starts_with("40"); }

bool IsFeatureNotSupported(std::string_view sqlstate) { return sqlstate == "0A000"; }

bool IsBeyondReplace(std::string_view sqlstate) {
  return sqlstate == "42P16" ||  // a view would lose a column, or a column its type
         sqlstate == "42P13";    // a function would get another result
}

bool IsDamage(std::string_view sqlstate) { return sqlstate.starts_with("XX"); }

bool IsAboutRows(std::string_view sqlstate) {
  return IsDamage(sqlstate) || StartsWithOneOf(sqlstate, kAboutRows);
}

bool IsOfAPooler(std::string_view sqlstate) { return sqlstate == "26000" || sqlstate == "42P05"; }

bool IsOfTheConnection(std::string_view sqlstate) {
  return sqlstate.empty() || IsOfAPooler(sqlstate) || StartsWithOneOf(sqlstate, kOfTheConnection);
}

bool IsPassing(std::string_view sqlstate) {
  return IsOfTheConnection(sqlstate) || IsTransactionRollback(sqlstate) || IsLockNotAvailable(sqlstate) ||
         StartsWithOneOf(sqlstate, kPassing);
}

}  // namespace postcall::postgres
