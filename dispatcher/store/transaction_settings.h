// What our transactions set beside postgres::Transaction's own settings: how they are planned, and for how
// long they may run. Used only in this room.
#pragma once

#include <chrono>

#include "dispatcher/postgres/transaction.h"

namespace postcall::store {

// For statements that look rows up one by one, in tables that fill and empty so fast that statistics are
// always out of date. No plan reads a whole table because it was empty, or sorts because there were few
// rows: rows that are wanted in an order are read from the index that has this order.
inline constexpr postgres::Settings kLookUps{.planner = R"sql(
           set_config('enable_indexscan', 'on', true),
           set_config('enable_nestloop', 'on', true),
           set_config('enable_seqscan', 'off', true),
           set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true),
           set_config('enable_material', 'off', true),
           set_config('enable_sort', 'off', true)
)sql"};

// For a statement that reads some pages of a table. Each other plan would read the whole table or an
// index.
inline constexpr postgres::Settings kByPages{.planner = R"sql(
           set_config('enable_tidscan', 'on', true),
           set_config('enable_hashagg', 'on', true),
           set_config('enable_seqscan', 'off', true),
           set_config('enable_indexscan', 'off', true),
           set_config('enable_bitmapscan', 'off', true),
           set_config('enable_sort', 'off', true)
)sql"};

// No chore holds up its thread for 30 s (CONTRACT §8).
inline constexpr std::chrono::seconds kChoreLimit{20};
inline constexpr postgres::Settings kChore{.statement_limit = kChoreLimit};
inline constexpr postgres::Settings kChoreLookUps{.planner = kLookUps.planner,
                                                  .statement_limit = kChoreLimit};

// For a statement that reads a whole table, beside the claims: no worker helps it.
inline constexpr postgres::Settings kChoreScan{
    .planner = "set_config('max_parallel_workers_per_gather', '0', true)", .statement_limit = kChoreLimit};

// For statements that join a batch of keys to the log. The rows are found by the moments of their claims
// and then matched in a hash: a nested loop would look through the whole batch for each row. They are
// planned each time: a plan that was made while today's partition was empty may use any index, and is kept.
inline constexpr postgres::Settings kByKeys{.planner = R"sql(
           set_config('enable_indexscan', 'on', true),
           set_config('enable_hashjoin', 'on', true),
           set_config('enable_seqscan', 'off', true),
           set_config('enable_nestloop', 'off', true),
           set_config('enable_mergejoin', 'off', true),
           set_config('plan_cache_mode', 'force_custom_plan', true)
)sql"};

// The same for outcomes: a row that another transaction locks is left out soon and is written later, and the
// rows that can be written do not wait for it.
inline constexpr postgres::Settings kByKeysUnlocked{.planner = kByKeys.planner,
                                                    .lock_limit = std::chrono::milliseconds(200)};

}  // namespace postcall::store
