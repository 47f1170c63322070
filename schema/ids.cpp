#include "schema/ids.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace postcall {
namespace {

constexpr std::size_t kOfDispatcher = 8;  // bytes; the others are the claim's

}  // namespace

DispatcherId DispatcherId::Random() {
  Uuid id = Uuid::Random();
  std::fill(id.bytes.begin() + kOfDispatcher, id.bytes.end(), std::uint8_t{0});
  return DispatcherId(id);
}

ClaimId ClaimId::Of(const DispatcherId& dispatcher, std::uint64_t number) {
  Uuid id = dispatcher.get();
  for (std::size_t i = id.bytes.size(); i > kOfDispatcher; --i) {
    id.bytes[i - 1] = static_cast<std::uint8_t>(number & 0xff);
    number >>= 8;
  }
  return ClaimId(id);
}

std::pair<ClaimId, ClaimId> ClaimId::RangeOf(const DispatcherId& dispatcher) {
  return {Of(dispatcher, 0), Of(dispatcher, std::numeric_limits<std::uint64_t>::max())};
}

}  // namespace postcall
