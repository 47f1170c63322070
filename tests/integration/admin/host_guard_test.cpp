#include "dispatcher/admin/host_guard.h"

#include <gtest/gtest.h>

namespace postcall::admin {
namespace {

TEST(HostGuard, AdmitsTheNamesOfThisMachineWithAndWithoutAPort) {
  const HostGuard guard("127.0.0.1");
  for (const char* host :
       {"localhost", "LOCALHOST", "127.0.0.1", "[::1]", "localhost:9464", "127.0.0.1:1", "[::1]:65535"}) {
    EXPECT_TRUE(guard.Admits(host)) << host;
  }
}

TEST(HostGuard, RefusesEveryOtherName) {
  const HostGuard guard("127.0.0.1");
  for (const char* host : {"", "evil.example", "evil.example:9464", "localhost.evil.example",
                           "127.0.0.1.evil.example", "127.0.0.2", "::1", "[::1", "[::1]x", "[::2]",
                           "localhost:9464:9464", "localhost:x", "localhost:123456", "localhost@evil.example",
                           "user@localhost", "127.0.0.1 ", "0.0.0.0", "localhost\t"}) {
    EXPECT_FALSE(guard.Admits(host)) << host;
  }
}

TEST(HostGuard, AdmitsTheListenAddressAsItWasGiven) {
  EXPECT_TRUE(HostGuard("127.0.0.5").Admits("127.0.0.5:9464"));
  EXPECT_TRUE(HostGuard("Loop.Local").Admits("loop.local"));
}

TEST(HostGuard, AdmitsEveryHostWhenNotOnLoopback) {
  EXPECT_TRUE(HostGuard().Admits("metrics.internal:9464"));
  EXPECT_TRUE(HostGuard().Admits(""));
}

}  // namespace
}  // namespace postcall::admin
