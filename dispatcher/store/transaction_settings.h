// What our transactions set beside postgres::Transaction's own settings: how they are planned, and for how
// long they may run. Used only in this room.
#pragma once

#include <chrono>
#include <string>

namespace postcall::store {

// No chore holds up its thread for 30 s (CONTRACT §8).
inline constexpr std::chrono::seconds kChoreLimit{20};

// For statements that look rows up one by one, in tables that fill and empty so fast that statistics are
// always out of date. No plan reads a whole table because it was empty, or sorts because there were few
// rows: rows that are wanted in an order are read from the index that has this order.
inline constexpr const char* kLookUps = R"sql(
    SET LOCAL enable_indexscan = on;
    SET LOCAL enable_nestloop = on;
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off;
    SET LOCAL enable_material = off;
    SET LOCAL enable_sort = off)sql";

// For statements that join a batch of keys to the log. The rows are found by the moments of their claims
// and then matched in a hash: a nested loop would look through the whole batch for each row. They are
// planned each time: a plan that was made while today's partition was empty may use any index, and is kept.
inline constexpr const char* kByKeys = R"sql(
    SET LOCAL enable_indexscan = on;
    SET LOCAL enable_hashjoin = on;
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_nestloop = off;
    SET LOCAL enable_mergejoin = off;
    SET LOCAL plan_cache_mode = force_custom_plan)sql";

// The same for outcomes: a row that another transaction locks is left out soon and is written later, and the
// rows that can be written do not wait for it.
inline const std::string kByKeysUnlocked = kByKeys + std::string("; SET LOCAL lock_timeout = '200ms'");

}  // namespace postcall::store
