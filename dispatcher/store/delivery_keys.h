// A batch of delivery keys as arrays of parameters. Used only in this room; a value type.
#pragma once

#include <cstdint>
#include <unordered_set>

#include "dispatcher/postgres/array_literal.h"
#include "dispatcher/postgres/database_value.h"
#include "schema/delivery.h"

namespace postcall::store {

struct DeliveryKeys {
  postgres::ArrayLiteral ids;
  postgres::ArrayLiteral claimed_at;  // microseconds
  postgres::ArrayLiteral claim_ids;
  // The moments of the claims, each one once, because all rows of a claim share its moment. They lead
  // straight to the rows, and to no partition without rows of the batch (see kByKeys).
  postgres::ArrayLiteral claims;

  void Add(const DeliveryKey& key) {
    ids.Add(key.id.get());
    claimed_at.Add(postgres::ToMicroseconds(key.claimed_at));
    claim_ids.Add(key.claim_id.get().ToString());
    if (moments_.insert(key.claimed_at.time_since_epoch().count()).second)
      claims.Add(postgres::TimestampOf(key.claimed_at));
  }

 private:
  std::unordered_set<std::int64_t> moments_;
};

}  // namespace postcall::store
