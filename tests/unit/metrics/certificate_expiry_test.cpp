#include "dispatcher/metrics/certificate_expiry.h"

#include <gtest/gtest.h>

#include <string>

namespace postcall::metrics {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

DatabaseTime At(int day) { return DatabaseTime(hours(24) * day); }

TEST(CertificateExpiry, IsNoneBeforeAnyCertificateWasSeen) {
  EXPECT_FALSE(CertificateExpiry().Soonest(Steady::now()));
}

TEST(CertificateExpiry, IsTheSoonestOfAllEndpoints) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://b", At(20), now);
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://c", At(30), now);
  EXPECT_EQ(expiry.Soonest(now), At(10));
}

TEST(CertificateExpiry, FollowsARenewedCertificate) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://b", At(20), now);
  expiry.Note("https://a", At(100), now + seconds(1));
  EXPECT_EQ(expiry.Soonest(now + seconds(1)), At(20));
}

TEST(CertificateExpiry, ForgetsWhatWasNotSeenForADay) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://b", At(20), now + hours(1));
  EXPECT_EQ(expiry.Soonest(now + hours(24)), At(10));
  EXPECT_EQ(expiry.Soonest(now + hours(24) + minutes(1)), At(20));
  EXPECT_FALSE(expiry.Soonest(now + hours(26)));
}

TEST(CertificateExpiry, RemembersAnEndpointAsLongAsItIsSeen) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://a", At(10), now + hours(20));
  EXPECT_EQ(expiry.Soonest(now + hours(30)), At(10));
}

TEST(CertificateExpiry, KeepsThoseThatEndSoonestWhenThereAreTooMany) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry(3);
  for (const int day : {50, 40, 30, 60, 20, 70}) expiry.Note("https://" + std::to_string(day), At(day), now);
  EXPECT_EQ(expiry.Soonest(now), At(20));
  // Renewed one after the other, the next soonest shows, and no more than three were kept.
  expiry.Note("https://20", At(100), now);
  EXPECT_EQ(expiry.Soonest(now), At(30));
  expiry.Note("https://30", At(100), now);
  EXPECT_EQ(expiry.Soonest(now), At(40));
  expiry.Note("https://40", At(100), now);
  EXPECT_EQ(expiry.Soonest(now), At(100));
}

TEST(CertificateExpiry, HandlesEndpointsWhoseCertificatesEndTogether) {
  const SteadyTime now = Steady::now();
  CertificateExpiry expiry;
  expiry.Note("https://a", At(10), now);
  expiry.Note("https://b", At(10), now);
  expiry.Note("https://a", At(50), now);
  EXPECT_EQ(expiry.Soonest(now), At(10));
  expiry.Note("https://b", At(50), now);
  EXPECT_EQ(expiry.Soonest(now), At(50));
}

}  // namespace
}  // namespace postcall::metrics
