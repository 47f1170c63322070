// The ids of the program, each a type of its own. Any thread; value types.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "common/strong_id.h"
#include "common/uuid.h"

namespace postcall {

using CallId = StrongId<struct CallTag, std::string>;
using AgentId = StrongId<struct AgentTag, std::string>;

// The row's `id`: given by the outbox when the call is enqueued and kept by the delivery log.
using DeliveryId = StrongId<struct DeliveryTag, std::int64_t>;

// One start of the dispatcher: eight random bytes, then eight zeros (CONTRACT §4). A host name and process id
// are not enough, because a restarted container has the same two.
class DispatcherId : public StrongId<struct DispatcherTag, Uuid> {
 public:
  using StrongId::StrongId;

  // Throws std::system_error when the system's random source fails.
  static DispatcherId Random();
};

// One claim: the first eight bytes of the dispatcher's id, so that a row shows which start claimed it, and
// then the claim's number, most significant byte first.
class ClaimId : public StrongId<struct ClaimTag, Uuid> {
 public:
  using StrongId::StrongId;

  static ClaimId Of(const DispatcherId& dispatcher, std::uint64_t number);

  // The least and the greatest id that the dispatcher's claims can have.
  static std::pair<ClaimId, ClaimId> RangeOf(const DispatcherId& dispatcher);
};

}  // namespace postcall

template <>
struct std::hash<postcall::DispatcherId> {
  std::size_t operator()(const postcall::DispatcherId& id) const {
    return std::hash<postcall::Uuid>{}(id.get());
  }
};
