#include "dispatcher/dispatch/late_deliveries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(LateDeliveries, WakeTheClaimThreadAndAreTakenOnce) {
  LateDeliveries late;
  int woken = 0;
  late.SetWaker([&] { ++woken; });
  late.Add(std::make_unique<ClaimedDelivery>());
  late.Add(std::make_unique<ClaimedDelivery>());
  EXPECT_EQ(woken, 2);
  EXPECT_THAT(late.TakeAll(), SizeIs(2));
  EXPECT_THAT(late.TakeAll(), IsEmpty());
}

TEST(LateDeliveries, WaitForTheNextTimeWithoutAWakeUpWhenTheDatabaseCouldNotBeAsked) {
  LateDeliveries late;
  late.Add(std::make_unique<ClaimedDelivery>());
  Deliveries taken = late.TakeAll();
  int woken = 0;
  late.SetWaker([&] { ++woken; });
  late.PutBack(std::move(taken));
  EXPECT_EQ(woken, 0);
  EXPECT_THAT(late.TakeAll(), SizeIs(1));
}

// A receiver refuses a signature that is too old.
TEST(LateDeliveries, AreSignedAgainWhenTheyAreSent) {
  LateDeliveries late;
  auto delivery = std::make_unique<ClaimedDelivery>();
  delivery->webhook_headers = {{"webhook-signature", "v1,old"}};
  late.Add(std::move(delivery));
  EXPECT_THAT(late.TakeAll().at(0)->webhook_headers, IsEmpty());
}

TEST(LateDeliveries, KeepTheirSlots) {
  Admission admission({.in_flight = 1});
  LateDeliveries late;
  auto delivery = std::make_unique<ClaimedDelivery>();
  delivery->slot = *admission.TryAdmit(AgentId("a"), "endpoint", SteadyTime());
  late.Add(std::move(delivery));
  EXPECT_EQ(admission.in_flight(), 1);
  late.TakeAll();
  EXPECT_EQ(admission.in_flight(), 0);
}

}  // namespace
}  // namespace postcall::dispatch
