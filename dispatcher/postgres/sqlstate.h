// Names for what a SQLSTATE means; no other file contains one (PostgreSQL's manual, appendix A). Each
// function takes the five characters, or an empty text when there is none. Pure; any thread.
#pragma once

#include <string_view>

namespace postcall::postgres {

// libpqxx 6 throws these errors without their code.
inline constexpr const char* kInsufficientPrivilege = "42501";
inline constexpr const char* kTransactionRollback = "40000";
inline constexpr const char* kSerializationFailure = "40001";
inline constexpr const char* kDeadlockDetected = "40P01";

// The role lacks a right.
bool IsInsufficientPrivilege(std::string_view sqlstate);

// A lock was not available: lock_timeout passed, or the statement said NOWAIT.
bool IsLockNotAvailable(std::string_view sqlstate);

// The statement was ended: statement_timeout passed, or it was cancelled.
bool IsQueryCanceled(std::string_view sqlstate);

// A deadlock, or a serialization failure: the same transaction may succeed when it is run again.
bool IsTransactionRollback(std::string_view sqlstate);

// The server also says this of a prepared statement whose result now has another type.
bool IsFeatureNotSupported(std::string_view sqlstate);

// CREATE OR REPLACE cannot make this change to a view or function: it must be dropped first.
bool IsBeyondReplace(std::string_view sqlstate);

// The rows that a statement reads or writes are at fault: it may succeed without one of them.
bool IsAboutRows(std::string_view sqlstate);

// A row or an index cannot be read, because it is damaged.
bool IsDamage(std::string_view sqlstate);

// Our prepared statement does not exist, or the name belongs to another client's: a pooler is in between.
bool IsOfAPooler(std::string_view sqlstate);

// Another connection is needed, maybe to another server. Also true for an empty text, which is libpq's own
// error.
bool IsOfTheConnection(std::string_view sqlstate);

// Neither the statement nor its data is at fault: the same may succeed later.
bool IsPassing(std::string_view sqlstate);

}  // namespace postcall::postgres
