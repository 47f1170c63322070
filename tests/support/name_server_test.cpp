#include "tests/support/name_server.h"

#include <ares.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>

#include <array>
#include <boost/asio/ip/address.hpp>

namespace postcall::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

struct Lookup {
  int status = -1;
  std::vector<std::string> addresses;
  bool done = false;
};

void Receive(void* into, int status, int, ares_addrinfo* found) {
  auto& lookup = *static_cast<Lookup*>(into);
  lookup.status = status;
  lookup.done = true;
  if (found == nullptr) return;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    std::array<char, 64> text{};
    ::getnameinfo(node->ai_addr, node->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
    lookup.addresses.emplace_back(text.data());
  }
  ares_freeaddrinfo(found);
}

// How c-ares reads the server's answers, with one try of `timeout_ms`.
Lookup Resolve(const NameServer& server, const std::string& name, int family, int timeout_ms = 5000) {
  ares_channel channel = nullptr;
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH;
  options.timeout = timeout_ms;
  options.tries = 1;
  ares_init_options(&channel, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
  ares_set_servers_ports_csv(channel, server.address().c_str());
  ares_addrinfo_hints hints{};
  hints.ai_family = family;
  hints.ai_flags = ARES_AI_NOSORT;
  Lookup lookup;
  ares_getaddrinfo(channel, name.c_str(), nullptr, &hints, Receive, &lookup);
  while (!lookup.done) {
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    const auto wanted = static_cast<unsigned>(ares_getsock(channel, sockets.data(), ARES_GETSOCK_MAXNUM));
    std::vector<pollfd> waiting;
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
      const bool reads = (wanted & (1u << i)) != 0;
      const bool writes = (wanted & (1u << (i + ARES_GETSOCK_MAXNUM))) != 0;
      const int events = (reads ? POLLIN : 0) | (writes ? POLLOUT : 0);
      if (events != 0)
        waiting.push_back({.fd = sockets[i], .events = static_cast<short>(events), .revents = 0});
    }
    ::poll(waiting.data(), waiting.size(), 20);
    for (const pollfd& ready : waiting) {
      ares_process_fd(channel, (ready.revents & ~POLLOUT) != 0 ? ready.fd : ARES_SOCKET_BAD,
                      (ready.revents & POLLOUT) != 0 ? ready.fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }
  ares_destroy(channel);
  return lookup;
}

TEST(NameServer, AnswersEachTypeWithItsAddresses) {
  NameServer server;
  server.Script("Hook.Example", NameAnswer::Addresses({"127.0.0.1", "::1", "127.0.0.2"}));
  EXPECT_THAT(Resolve(server, "hook.example", AF_INET).addresses, ElementsAre("127.0.0.1", "127.0.0.2"));
  EXPECT_THAT(Resolve(server, "hook.example", AF_INET6).addresses, ElementsAre("::1"));
  EXPECT_EQ(server.Count("hook.example"), 2u);
  EXPECT_EQ(server.Count("hook.example", NameQuery::Type::kAaaa), 1u);
}

TEST(NameServer, SaysWhyThereIsNoAddress) {
  NameServer server;
  server.Script("empty.example", NameAnswer::NoData());
  server.Script("broken.example", NameAnswer::Of(NameAnswer::Kind::kServerFailure));
  server.Script("refused.example", NameAnswer::Of(NameAnswer::Kind::kRefused));
  server.Script("silent.example", NameAnswer::Of(NameAnswer::Kind::kSilence));
  server.Script("garbage.example", NameAnswer::Of(NameAnswer::Kind::kGarbage));
  EXPECT_EQ(Resolve(server, "unknown.example", AF_INET).status, ARES_ENOTFOUND);
  EXPECT_EQ(Resolve(server, "empty.example", AF_INET).status, ARES_ENODATA);
  // After such an answer c-ares asks the next server, but there is no other.
  EXPECT_NE(Resolve(server, "broken.example", AF_INET).status, ARES_SUCCESS);
  EXPECT_NE(Resolve(server, "refused.example", AF_INET).status, ARES_SUCCESS);
  EXPECT_NE(Resolve(server, "silent.example", AF_INET, 50).status, ARES_SUCCESS);
  EXPECT_NE(Resolve(server, "garbage.example", AF_INET, 50).status, ARES_SUCCESS);
  EXPECT_TRUE(server.WaitFor([](const auto& queries) { return queries.size() >= 6; }, milliseconds(0)));
}

TEST(NameServer, ChangesItsAnswerFromQueryToQuery) {
  NameServer server;
  server.Script("rebind.example",
                {NameAnswer::Addresses({"192.0.2.1"}), NameAnswer::Addresses({"127.0.0.1"})});
  EXPECT_THAT(Resolve(server, "rebind.example", AF_INET).addresses, ElementsAre("192.0.2.1"));
  EXPECT_THAT(Resolve(server, "rebind.example", AF_INET).addresses, ElementsAre("127.0.0.1"));
  EXPECT_THAT(Resolve(server, "rebind.example", AF_INET).addresses, ElementsAre("127.0.0.1"));
  EXPECT_THAT(Resolve(server, "rebind.example", AF_INET6).addresses, IsEmpty());
}

TEST(NameServer, TruncatesAndAnswersInFullOverTcp) {
  NameServer server;
  std::vector<std::string> addresses;
  for (int i = 0; i < 300; ++i)
    addresses.push_back("10.1." + std::to_string(i / 200) + "." + std::to_string(i % 200));
  server.Script("many.example", {NameAnswer::Addresses(addresses), NameAnswer::NoData()});
  EXPECT_EQ(Resolve(server, "many.example", AF_INET).addresses, addresses);
  const auto queries = server.Queries();
  ASSERT_EQ(queries.size(), 2u);
  EXPECT_FALSE(queries[0].tcp);
  EXPECT_TRUE(queries[1].tcp);
}

TEST(NameServer, FollowsAnAlias) {
  NameServer server;
  NameAnswer answer = NameAnswer::Addresses({"127.0.0.3"});
  answer.alias = "edge.example";
  server.Script("www.example", answer);
  EXPECT_THAT(Resolve(server, "www.example", AF_INET).addresses, ElementsAre("127.0.0.3"));
}

TEST(NameServer, AnswersLateWhenTold) {
  NameServer server;
  NameAnswer answer = NameAnswer::Addresses({"127.0.0.1"});
  answer.delay = milliseconds(300);
  server.Script("late.example", answer);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THAT(Resolve(server, "late.example", AF_INET).addresses, ElementsAre("127.0.0.1"));
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(300));
}

}  // namespace
}  // namespace postcall::test
