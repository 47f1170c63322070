#include "dispatcher/dispatch/held_deliveries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(HeldDeliveries, AreThoseWhoseTokensLive) {
  HeldDeliveries held;
  const HeldRow first = held.Hold(DeliveryId(1));
  {
    const HeldRow second = held.Hold(DeliveryId(2));
    EXPECT_THAT(held.All(), UnorderedElementsAre(DeliveryId(1), DeliveryId(2)));
  }
  EXPECT_THAT(held.All(), ElementsAre(DeliveryId(1)));
}

TEST(HeldDeliveries, AreHeldByTheTokenThatWasMovedOn) {
  HeldDeliveries held;
  HeldRow last;
  {
    HeldRow first = held.Hold(DeliveryId(1));
    last = std::move(first);
  }
  EXPECT_THAT(held.All(), ElementsAre(DeliveryId(1)));
  last = HeldRow();
  EXPECT_THAT(held.All(), IsEmpty());
}

// It was requeued, and claimed again before its first token was released.
TEST(HeldDeliveries, AreHeldUntilTheLastTokenOfTheirRowIsReleased) {
  HeldDeliveries held;
  HeldRow requeued = held.Hold(DeliveryId(1));
  HeldRow claimed_again = held.Hold(DeliveryId(1));
  requeued = HeldRow();
  EXPECT_THAT(held.All(), ElementsAre(DeliveryId(1)));
  claimed_again = HeldRow();
  EXPECT_THAT(held.All(), IsEmpty());
}

}  // namespace
}  // namespace postcall::dispatch
