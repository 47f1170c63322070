// The dispatcher distinguishes this machine's own faults from the customer's (CONTRACT §2).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <thread>

#include "common/handle.h"
#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/must_run.h"
#include "tests/support/name_server.h"

namespace postcall::test {
namespace {

constexpr const char* kNeedsNamespace = "needs the right to make a network namespace";

// Uses up every descriptor that the process may still open.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit lower = before_;
    lower.rlim_cur = std::min<rlim_t>(before_.rlim_cur, 512);
    ::setrlimit(RLIMIT_NOFILE, &lower);
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken_.emplace_back(fd);
  }
  ~NoDescriptors() {
    taken_.clear();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
  std::vector<FileDescriptor> taken_;
};

void ExpectNothingSent(const http::PostResult& post, LocalFault fault) {
  EXPECT_EQ(post.fault, fault);
  EXPECT_EQ(post.result.outcome, Outcome::kNotSent);
  EXPECT_EQ(post.result.reached, Reached::kNothing);
  EXPECT_NE(post.result.error, "");
}

TEST(LocalFault, WithoutADescriptorForTheSocketNothingIsSent) {
  HostileEndpoint endpoint;
  Poster poster;
  {
    const NoDescriptors none;
    ExpectNothingSent(poster.Send(endpoint.Url()), LocalFault::kDescriptors);
  }
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 0U);
  EXPECT_EQ(poster.Send(endpoint.Url()).result.outcome, Outcome::kDelivered);
}

TEST(LocalFault, WithoutADescriptorForTheLookupNothingIsSent) {
  NameServer names;
  names.Script("hook.test", NameAnswer::Addresses({"127.0.0.1"}));
  HostileEndpoint endpoint;
  Poster poster({.name_servers = names.address()});
  {
    const NoDescriptors none;
    ExpectNothingSent(poster.Send(endpoint.Url("/", "hook.test")), LocalFault::kDescriptors);
  }
  EXPECT_EQ(poster.Send(endpoint.Url("/", "hook.test")).result.outcome, Outcome::kDelivered);
}

TEST(LocalFault, WithoutDescriptorsAKeptConnectionStillWorks) {
  HostileEndpoint endpoint;
  Poster poster;
  poster.Send(endpoint.Url());
  const NoDescriptors none;
  const http::PostResult post = poster.Send(endpoint.Url());
  EXPECT_EQ(post.result.outcome, Outcome::kDelivered);
  EXPECT_EQ(post.result.connection_reused, true);
}

bool Write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// Runs `test` in a network namespace of its own, where it may change every setting; threads that it starts
// are in it too. Returns false when that is not permitted.
bool InOwnNetwork(const std::function<void()>& test) {
  bool permitted = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    const FileDescriptor any(::socket(AF_INET, SOCK_DGRAM, 0));
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    if (::ioctl(any.get(), SIOCSIFFLAGS, &loopback) != 0) return;
    permitted = Write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
    if (permitted) test();
  }).join();
  return permitted;
}

TEST(LocalFault, WithoutALocalPortNothingIsSent) {
  const bool permitted = InOwnNetwork([] {
    HostileEndpoint endpoint({.port = 50'000, .tls = {}, .on_request = {}});
    endpoint.Otherwise(Hang());
    HostileEndpoint other({.address = "127.0.0.2", .port = 50'000, .tls = {}, .on_request = {}});
    Poster poster({.timeout = 2000ms});
    std::vector<Poster::Pending> pending;
    for (int i = 0; i < 5; ++i) pending.push_back(poster.Start(endpoint.Url()));
    ASSERT_TRUE(poster.RunUntil([&] {
      return std::any_of(pending.begin(), pending.end(), [](const auto& post) { return post->has_value(); });
    }));
    const auto over =
        std::count_if(pending.begin(), pending.end(), [](const auto& post) { return post->has_value(); });
    EXPECT_EQ(over, 1);
    for (const auto& post : pending) {
      if (*post) ExpectNothingSent(**post, LocalFault::kPorts);
    }
    // There are free ports towards another endpoint.
    EXPECT_EQ(poster.Send(other.Url()).result.outcome, Outcome::kDelivered);
  });
  if (!permitted) {
    if (MustRun()) FAIL() << kNeedsNamespace;
    GTEST_SKIP() << kNeedsNamespace;
  }
}

TEST(LocalFault, DoesNotIncludeThatIpv6IsSwitchedOff) {
  const bool permitted = InOwnNetwork([] {
    ASSERT_TRUE(Write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    Poster poster;
    const http::PostResult post = poster.Send("http://[::1]:50000/");
    EXPECT_EQ(post.fault, std::nullopt);
    EXPECT_EQ(post.result.outcome, Outcome::kConnectError);
  });
  if (!permitted) {
    if (MustRun()) FAIL() << kNeedsNamespace;
    GTEST_SKIP() << kNeedsNamespace;
  }
}

}  // namespace
}  // namespace postcall::test
