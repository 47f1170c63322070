// The ids of the house, each its own type. Any thread; value types.
#pragma once

#include <cstdint>
#include <string>

#include "common/strong_id.h"
#include "common/uuid.h"

namespace postcall {

using CallId = StrongId<struct CallTag, std::string>;
using AgentId = StrongId<struct AgentTag, std::string>;

// The row's `id`: given by the outbox when the call is enqueued and kept by the delivery log.
using DeliveryId = StrongId<struct DeliveryTag, std::int64_t>;

// A start of the dispatcher. Drawn at random each time: a host name and process id are no identity, for a
// restarted container has the same two (CONTRACT §4).
using DispatcherId = StrongId<struct DispatcherTag, Uuid>;

// One claim. Its first eight bytes are those of the dispatcher's id, so that a row tells which start claimed
// it.
using ClaimId = StrongId<struct ClaimTag, Uuid>;

}  // namespace postcall
