#include "dispatcher/http/hosts_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <iostream>

#include "tests/support/own_hosts.h"
#include "tests/support/sanitizers.h"

namespace postcall::http {
namespace {

using test::OwnHosts;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Find(const HostsFile& file, std::string_view host) {
  std::vector<std::string> found;
  for (const auto& address : file.Find(host)) found.push_back(address.to_string());
  return found;
}

// getent of glibc 2.36 finds the same addresses in this file, except that our names have no final dot.
TEST(HostsFile, IsReadAsTheSystemReadsIt) {
  const OwnHosts hosts(
      "# 127.0.0.99 comment.test\n"
      "127.0.0.2 Plain.Test alias.test  # said.test\n"
      "10.0.0.1 multi.test\n"
      "\n"
      "10.0.0.2 multi.test other.test\n"
      "::1 multi.test\n"
      "10.0.0.2 multi.test\n"
      "fe80::1%eth0 zoned.test\n"
      "fe80::2 link.test\n"
      "127.0.0.3 crlf.test\r\n"
      "10.1 short.test\n"
      "0x7f.1 hex.test\n"
      "010.0.0.1 octal.test\n"
      "300.1.1.1 bad.test\n"
      "not-an-address word.test\n"
      "127.0.0.4 hash.test#x\n"
      "127.0.0.5\n"
      "   127.0.0.6 leading.test\n"
      "\t127.0.0.7\ttab.test\f\v\n"
      "::ffff:10.0.0.9 mapped.test\n"
      "127.0.0.8 dotted.test.\n"
      "127.0.0.9 127.0.0.44 . #\n"
      "127.0.0.11 last.test");
  const HostsFile file(hosts.path());
  EXPECT_THAT(Find(file, "plain.test"), ElementsAre("127.0.0.2"));
  EXPECT_THAT(Find(file, "PLAIN.TEST"), ElementsAre("127.0.0.2"));
  EXPECT_THAT(Find(file, "alias.test"), ElementsAre("127.0.0.2"));
  EXPECT_THAT(Find(file, "multi.test"), ElementsAre("10.0.0.1", "10.0.0.2", "::1"));
  EXPECT_THAT(Find(file, "other.test"), ElementsAre("10.0.0.2"));
  EXPECT_THAT(Find(file, "link.test"), ElementsAre("fe80::2"));
  EXPECT_THAT(Find(file, "crlf.test"), ElementsAre("127.0.0.3"));
  EXPECT_THAT(Find(file, "hash.test"), ElementsAre("127.0.0.4"));
  EXPECT_THAT(Find(file, "leading.test"), ElementsAre("127.0.0.6"));
  EXPECT_THAT(Find(file, "tab.test"), ElementsAre("127.0.0.7"));
  EXPECT_THAT(Find(file, "mapped.test"), ElementsAre("::ffff:10.0.0.9"));
  EXPECT_THAT(Find(file, "dotted.test"), ElementsAre("127.0.0.8"));
  EXPECT_THAT(Find(file, "last.test"), ElementsAre("127.0.0.11"));
  for (const auto* absent : {"zoned.test", "short.test", "hex.test", "octal.test", "bad.test", "word.test",
                             "said.test", "comment.test", "hash.test#x", "plain", "test", "10.0.0.1", ""}) {
    EXPECT_THAT(Find(file, absent), IsEmpty()) << absent;
  }
}

TEST(HostsFile, SaysThatLocalhostIsLoopbackUnlessALineSaysOtherwise) {
  const OwnHosts hosts("10.0.0.1 app.localhost\n");
  HostsFile file(hosts.path());
  EXPECT_THAT(Find(file, "localhost"), ElementsAre("127.0.0.1", "::1"));
  EXPECT_THAT(Find(file, "LocalHost"), ElementsAre("127.0.0.1", "::1"));
  EXPECT_THAT(Find(file, "other.localhost"), ElementsAre("127.0.0.1", "::1"));
  EXPECT_THAT(Find(file, "app.localhost"), ElementsAre("10.0.0.1"));
  EXPECT_THAT(Find(file, "notlocalhost"), IsEmpty());
  hosts.Write("127.0.0.2 localhost\n");
  ASSERT_TRUE(file.Refresh());
  EXPECT_THAT(Find(file, "localhost"), ElementsAre("127.0.0.2"));
}

TEST(HostsFile, IsReadAgainAfterEachKindOfChangeAndNotWithoutOne) {
  const OwnHosts hosts("10.0.0.1 hook.test\n");
  HostsFile file(hosts.path());
  EXPECT_FALSE(file.Refresh());
  hosts.Write("10.0.0.22 hook.test\n");
  EXPECT_TRUE(file.Refresh());
  EXPECT_THAT(Find(file, "hook.test"), ElementsAre("10.0.0.22"));
  EXPECT_FALSE(file.Refresh());
  hosts.Replace("10.0.0.33 hook.test\n");  // the file has the same size
  EXPECT_TRUE(file.Refresh());
  EXPECT_THAT(Find(file, "hook.test"), ElementsAre("10.0.0.33"));
  hosts.Remove();
  EXPECT_TRUE(file.Refresh());
  EXPECT_THAT(Find(file, "hook.test"), IsEmpty());
  EXPECT_FALSE(file.Refresh());
  hosts.Write("10.0.0.4 hook.test\n");
  EXPECT_TRUE(file.Refresh());
  EXPECT_THAT(Find(file, "hook.test"), ElementsAre("10.0.0.4"));
}

TEST(HostsFile, ThatCannotBeReadHasNoNames) {
  HostsFile file("/");  // a directory
  EXPECT_FALSE(file.Refresh());
  EXPECT_THAT(Find(file, "hook.test"), IsEmpty());
}

double ProcessorMs() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return 1e3 * static_cast<double>(used.tv_sec) + 1e-6 * static_cast<double>(used.tv_nsec);
}

// It must be fast, because a network thread reads it.
TEST(HostsFile, OfAHundredThousandLinesIsReadInMilliseconds) {
  const OwnHosts hosts(test::HostsLines(100'000));
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const double before = ProcessorMs();
    const HostsFile file(hosts.path());
    best = std::min(best, ProcessorMs() - before);
    EXPECT_THAT(Find(file, "host-99999.ads.test"), ElementsAre("10.1.134.159"));
  }
  std::cout << "100,000 lines are read in " << best << " ms of CPU time\n";
  if (!test::kSanitized) {
    EXPECT_LT(best, 50);
  }
}

}  // namespace
}  // namespace postcall::http
