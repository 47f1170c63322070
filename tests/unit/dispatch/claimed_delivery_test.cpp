#include "dispatcher/dispatch/claimed_delivery.h"

#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;

const SteadyTime kClaim = SteadyTime() + 1h;

TEST(ClaimedDelivery, IsConfirmedWhenItReachesTheNetworkLate) {
  ClaimedDelivery delivery;
  delivery.owned_since = kClaim;
  EXPECT_FALSE(delivery.MustBeConfirmed(kClaim + 1s));
  EXPECT_TRUE(delivery.MustBeConfirmed(kClaim + 1001ms));
}

TEST(ClaimedDelivery, IsConfirmedAgainWhenTooLittleIsLeftToConnectIn) {
  ClaimedDelivery delivery;
  delivery.owned_since = kClaim;
  delivery.confirmed = true;
  EXPECT_FALSE(delivery.MustBeConfirmed(kClaim + 5s));
  EXPECT_TRUE(delivery.MustBeConfirmed(kClaim + 5001ms));
}

TEST(ClaimedDelivery, IsRequeuedTwentyTimesAtMost) {
  ClaimedDelivery delivery;
  delivery.row.requeues = 19;
  EXPECT_TRUE(delivery.MayBeRequeued());
  delivery.row.requeues = 20;
  EXPECT_FALSE(delivery.MayBeRequeued());
}

TEST(ClaimedDelivery, IsOursFromItsClaimOn) {
  ClaimedDelivery delivery;
  delivery.row.id = DeliveryId(7);
  store::Claimed claimed;
  claimed.claim_id = ClaimId(Uuid::Random());
  claimed.anchor = {DatabaseTime(std::chrono::hours(1)), kClaim + 2ms};
  claimed.owned_since = kClaim;
  delivery.Own(claimed);
  EXPECT_EQ(delivery.key.id, DeliveryId(7));
  EXPECT_EQ(delivery.key.claim_id, claimed.claim_id);
  EXPECT_EQ(delivery.key.claimed_at, claimed.anchor.at);
  EXPECT_EQ(delivery.owned_since, kClaim) << "before the claim proved that the dispatcher lives";
}

TEST(ClaimedDelivery, IsSentWithinTenSecondsOfItsClaimOrNotAtAll) {
  ClaimedDelivery delivery;
  delivery.owned_since = kClaim;
  EXPECT_EQ(delivery.send_before(), kClaim + 10s);
}

}  // namespace
}  // namespace postcall::dispatch
