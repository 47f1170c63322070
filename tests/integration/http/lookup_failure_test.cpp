// How a lookup fails: the result says whether a name server answered at all, and garbled answers for one name
// fail no other name.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <thread>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/must_run.h"
#include "tests/support/name_server.h"

namespace postcall::test {
namespace {

using Kind = NameAnswer::Kind;
using Failure = http::LookupFailure;

class LookupFailure : public testing::Test {
 protected:
  NameServer names_;
  Poster poster_{{.name_servers = names_.address()}};
};

TEST_F(LookupFailure, SaysWhetherAServerAnswered) {
  names_.Script("empty.test", NameAnswer::NoData());
  names_.Script("broken.test", NameAnswer::Of(Kind::kServerFailure));
  names_.Script("refused.test", NameAnswer::Of(Kind::kRefused));
  names_.Script("garbage.test", NameAnswer::Of(Kind::kGarbage));
  names_.Script("silent.test", NameAnswer::Of(Kind::kSilence));
  EXPECT_EQ(poster_.LookUp("missing.test").failure, Failure::kNotFound);
  EXPECT_EQ(poster_.LookUp("empty.test").failure, Failure::kNoAddress);
  EXPECT_EQ(poster_.LookUp("broken.test").failure, Failure::kServerFailed);
  EXPECT_EQ(poster_.LookUp("refused.test").failure, Failure::kServerFailed);
  EXPECT_EQ(poster_.LookUp("garbage.test").failure, Failure::kServerFailed);
  EXPECT_EQ(poster_.LookUp("silent.test").failure, Failure::kNoServer);
}

// A resolver may remember that a name has no IPv6 address, and fail for IPv4. Then nothing is known about the
// name.
TEST_F(LookupFailure, OfOneFamilyDoesNotMeanThatTheNameHasNoAddress) {
  for (const Kind kind : {Kind::kServerFailure, Kind::kSilence}) {
    NameAnswer answer = NameAnswer::Of(kind);
    answer.only_v4 = true;
    names_.Script("hook.test", answer);
    EXPECT_EQ(poster_.LookUp("hook.test").failure, Failure::kServerFailed);
  }
}

// Answers for other names do not count as an answer for this one.
TEST_F(LookupFailure, ThatIsSilentAmongOthersHadNoServer) {
  names_.Script("silent.test", NameAnswer::Of(Kind::kSilence));
  names_.Script("broken.test", NameAnswer::Of(Kind::kServerFailure));
  std::optional<http::LookupResult> silent;
  poster_.engine().Lookup("silent.test", [&](const http::LookupResult& result) { silent = result; });
  while (!silent) EXPECT_EQ(poster_.LookUp("broken.test").failure, Failure::kServerFailed);
  EXPECT_EQ(silent->failure, Failure::kNoServer);
  EXPECT_EQ(silent->error, "The name servers did not answer.");
}

// The first of two servers answers with an error and the second does not answer: the network works.
TEST_F(LookupFailure, WhereOneServerFailsAndTheOtherIsSilentCountsAsAnswered) {
  NameServer silent;
  silent.Script("hook.test", NameAnswer::Of(Kind::kSilence));
  names_.Script("hook.test", NameAnswer::Of(Kind::kServerFailure));
  Poster poster({.name_servers = names_.address() + "," + silent.address()});
  EXPECT_EQ(poster.LookUp("hook.test").failure, Failure::kServerFailed);
}

// c-ares 1.34 fails all questions of a socket that receives what c-ares cannot read.
TEST_F(LookupFailure, OfAGarbledNameFailsNoOtherName) {
  for (const Kind kind : {Kind::kGarbage, Kind::kEmpty, Kind::kCutShort}) {
    NameAnswer garbled = NameAnswer::Addresses({"127.0.0.1", "::1"});
    garbled.kind = kind;
    const std::string number = std::to_string(static_cast<int>(kind));
    names_.Script("garbled-" + number + ".test", garbled);
    std::optional<http::LookupResult> failed;
    poster_.engine().Lookup("garbled-" + number + ".test",
                            [&](const http::LookupResult& result) { failed = result; });
    int found = 0;
    int others = 0;
    for (; others < 50; ++others) {
      const std::string name = "slow-" + std::to_string(others) + "-" + number + ".test";
      NameAnswer slow = NameAnswer::Addresses({"127.0.0.1"});
      slow.delay = 200ms;
      names_.Script(name, slow);
      poster_.engine().Lookup(name, [&](const http::LookupResult& result) {
        found += static_cast<int>(result.addresses.size());
      });
    }
    EXPECT_TRUE(poster_.RunUntil([&] { return found == others; }, 4s)) << number << ": " << found << " found";
    ASSERT_TRUE(poster_.RunUntil([&] { return failed.has_value(); }, 10s));
    // An empty datagram does not say which question it answers.
    EXPECT_EQ(failed->failure, kind == Kind::kEmpty ? Failure::kNoServer : Failure::kServerFailed) << number;
  }
}

// c-ares 1.34 gives up sooner when name servers were fast before; we do not.
TEST_F(LookupFailure, OfASilentNameTakesFiveSecondsHoweverFastOthersWere) {
  names_.Script("silent.test", NameAnswer::Of(Kind::kSilence));
  for (int i = 0; i < 10; ++i) poster_.LookUp("fast-" + std::to_string(i) + ".test");
  const SteadyTime asked = Steady::now();
  const auto silent = poster_.LookUp("silent.test");
  EXPECT_EQ(silent.failure, Failure::kNoServer);
  EXPECT_GE(Steady::now() - asked, 5s);
  EXPECT_LE(Steady::now() - asked, 5250ms);
  EXPECT_GE(names_.Count("silent.test", NameQuery::Type::kA), 4U);
}

std::size_t OpenDescriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(open), end(open)));
}

// Newer versions of c-ares open a new socket after each failure of a server.
TEST_F(LookupFailure, OfAThousandSilentNamesUsesFewerDescriptorsThanAnEngineMay) {
  const std::size_t before = OpenDescriptors();
  int failed = 0;
  std::size_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "silent-" + std::to_string(i) + ".test";
    names_.Script(name, NameAnswer::Of(Kind::kSilence));
    poster_.engine().Lookup(name, [&](const http::LookupResult&) { ++failed; });
  }
  SteadyTime looked{};
  ASSERT_TRUE(poster_.RunUntil([&] {
    if (Steady::now() - looked > 20ms) {
      looked = Steady::now();
      most = std::max(most, OpenDescriptors() - before);
    }
    return failed == 1000;
  }));
  std::cout << "sockets for name servers: " << most << "\n";
  EXPECT_LE(most, http::kDescriptorsPerEngine / 2);
}

TEST(NameServers, ThatCannotBeReachedCauseADnsError) {
  Poster poster({.name_servers = "127.0.0.1:1"});
  const DeliveryResult result = poster.Send("http://hook.test/").result;
  EXPECT_EQ(result.outcome, Outcome::kDnsError);
  EXPECT_EQ(result.error, "The name servers did not answer.");
  EXPECT_LE(result.times.total, 5250);
  EXPECT_EQ(poster.LookUp("hook.test").failure,
            Failure::kNoServer);  // the kernel says that no socket listens there
}

TEST(NameServers, WithoutARouteToThemCountAsSilent) {
  std::optional<http::LookupResult> lookup;
  std::thread([&] {
    // The new namespace has only a loopback interface, which is down.
    if (::unshare(CLONE_NEWNET) != 0) return;
    Poster poster({.name_servers = "192.0.2.1:53,[2001:db8::1]:53"});
    lookup = poster.LookUp("hook.test");
  }).join();
  if (!lookup) {
    if (MustRun()) FAIL() << "needs root for a network namespace";
    GTEST_SKIP() << "needs root for a network namespace";
  }
  EXPECT_EQ(lookup->failure, Failure::kNoServer);
  EXPECT_EQ(lookup->error, "The name servers did not answer.");
}

}  // namespace
}  // namespace postcall::test
