#include "dispatcher/metrics/certificate_expiry.h"

#include <gtest/gtest.h>

#include <string>

namespace postcall::metrics {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

DatabaseTime At(int day) { return DatabaseTime(hours(24) * day); }

constexpr DatabaseTime kClock{};  // before all certificates end

std::optional<DatabaseTime> Soonest(CertificateExpiry& expiry, SteadyTime now) {
  return expiry.Look(now, kClock).soonest;
}

TEST(CertificateExpiry, IsNoneBeforeAnyCertificateWasSeen) {
  CertificateExpiry expiry;
  EXPECT_FALSE(Soonest(expiry, Steady::now()));
}

TEST(CertificateExpiry, IsTheSoonestOfAllEndpoints) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://b", At(20), now);
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://c", At(30), now);
  EXPECT_EQ(Soonest(expiry, now), At(10));
}

TEST(CertificateExpiry, FollowsARenewedCertificate) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://b", At(20), now);
  expiry.Note("https://a", At(100), now + seconds(1));
  EXPECT_EQ(Soonest(expiry, now + seconds(1)), At(20));
}

TEST(CertificateExpiry, ForgetsAnEndpointThatWasNotSeenForADay) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://b", At(20), now + hours(1));
  EXPECT_EQ(Soonest(expiry, now + hours(24)), At(10));
  EXPECT_EQ(Soonest(expiry, now + hours(24) + minutes(1)), At(20));
  EXPECT_FALSE(Soonest(expiry, now + hours(26)));
}

TEST(CertificateExpiry, RemembersAnEndpointAsLongAsItIsSeen) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://a", At(10), now + hours(20));
  EXPECT_EQ(Soonest(expiry, now + hours(30)), At(10));
}

TEST(CertificateExpiry, KeepsThoseThatEndSoonestWhenThereAreTooMany) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry(3);
  for (const int day : {50, 40, 30, 60, 20, 70}) expiry.Note("https://" + std::to_string(day), At(day), now);
  EXPECT_EQ(Soonest(expiry, now), At(20));
  // One after the other is renewed and the next soonest becomes visible: no more than three were kept.
  expiry.Note("https://20", At(100), now);
  EXPECT_EQ(Soonest(expiry, now), At(30));
  expiry.Note("https://30", At(100), now);
  EXPECT_EQ(Soonest(expiry, now), At(40));
  expiry.Note("https://40", At(100), now);
  EXPECT_EQ(Soonest(expiry, now), At(100));
}

TEST(CertificateExpiry, HandlesEndpointsWhoseCertificatesEndTogether) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://b", At(10), now);
  expiry.Note("https://a", At(50), now);
  EXPECT_EQ(Soonest(expiry, now), At(10));
  expiry.Note("https://b", At(50), now);
  EXPECT_EQ(Soonest(expiry, now), At(50));
}

TEST(CertificateExpiry, SkipsCertificatesThatHaveEnded) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  for (const int day : {5, 8, 20, 30}) expiry.Note("https://" + std::to_string(day), At(day), now);
  EXPECT_EQ(expiry.Look(now, At(10)).soonest, At(20)) << "a certificate that has ended hides no other";
  EXPECT_EQ(expiry.Look(now, At(10)).expired, 2U);
  EXPECT_EQ(expiry.Look(now, At(20)).expired, 3U) << "a certificate counts as expired at its end";
  EXPECT_FALSE(expiry.Look(now, At(31)).soonest);
  EXPECT_EQ(expiry.Look(now, At(31)).expired, 4U);
}

TEST(CertificateExpiry, NoLongerCountsAnExpiredOneThatWasRenewedOrNotSeenForADay) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://renews", At(5), now);
  expiry.Note("https://leaves", At(6), now);
  expiry.Note("https://renews", At(100), now + hours(1));
  EXPECT_EQ(expiry.Look(now + hours(1), At(10)).expired, 1U);
  const CertificateExpiry::Sample later = expiry.Look(now + hours(25), At(10));
  EXPECT_EQ(later.expired, 0U);
  EXPECT_EQ(later.soonest, At(100));
}

}  // namespace
}  // namespace postcall::metrics
