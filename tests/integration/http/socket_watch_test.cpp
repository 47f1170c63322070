// libcurl closes some sockets before it reports their removal; the watch must survive that.
#include "dispatcher/http/socket_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <vector>

#include "common/handle.h"

namespace postcall::http {
namespace {

struct Listener final : SocketWatch::Owner {
  void OnReady(int fd, SocketWatch::Readiness readiness, void* tag) override {
    heard.push_back(fd);
    last = readiness;
    last_tag = tag;
  }
  std::vector<int> heard;
  SocketWatch::Readiness last{};
  void* last_tag = nullptr;
};

struct Pair {
  Pair() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()) != 0) throw std::bad_alloc();
    ours.reset(fds[0]);
    peer.reset(fds[1]);
  }
  FileDescriptor ours;
  FileDescriptor peer;
};

class Watch : public testing::Test {
 protected:
  void Dispatch() {
    watch_.Dispatch([this] { ++turns_; });
  }

  boost::asio::io_context loop_;
  SocketWatch watch_{loop_};
  Listener one_;
  Listener two_;
  int turns_ = 0;
};

TEST_F(Watch, ReportsToTheOwnerWhatASocketIsReadyFor) {
  const Pair pair;
  int tag = 0;
  watch_.Set(one_, pair.ours.get(), true, true, &tag);
  Dispatch();
  ASSERT_EQ(one_.heard.size(), 1U);
  EXPECT_TRUE(one_.last.writable);
  EXPECT_FALSE(one_.last.readable);
  EXPECT_EQ(one_.last_tag, &tag);
  ASSERT_EQ(::write(pair.peer.get(), "x", 1), 1);
  watch_.Set(one_, pair.ours.get(), true, false);
  Dispatch();
  EXPECT_TRUE(one_.last.readable);
  EXPECT_FALSE(one_.last.writable);
  EXPECT_EQ(turns_, 2);
}

TEST_F(Watch, ALateRemovalDoesNotAffectTheNextOwnerOfTheNumber) {
  Pair first;
  const int number = first.ours.get();
  watch_.Set(one_, number, true, false);
  first.ours.reset();  // closed without a report to the watch
  const Pair second;
  FileDescriptor same(::dup3(second.ours.get(), number, O_CLOEXEC));
  watch_.Set(two_, number, false, true);
  watch_.Remove(one_, number);
  Dispatch();
  EXPECT_TRUE(one_.heard.empty());
  EXPECT_EQ(two_.heard, std::vector<int>{number});
}

TEST_F(Watch, ANumberThatItsOwnerGetsAgainIsWatchedAgain) {
  Pair first;
  const int number = first.ours.get();
  watch_.Set(one_, number, false, true);
  first.ours.reset();
  const Pair second;
  FileDescriptor same(::dup3(second.ours.get(), number, O_CLOEXEC));
  watch_.Set(one_, number, false, true);
  Dispatch();
  EXPECT_EQ(one_.heard, std::vector<int>{number});
}

TEST_F(Watch, ASocketStaysWatchedWithoutATagThatIsDestroyed) {
  const Pair pair;
  const int number = pair.ours.get();
  int first = 0;
  int second = 0;
  watch_.Set(one_, number, false, true, &second);
  watch_.Untag(one_, number, &first);  // not its tag any more
  watch_.Untag(two_, number, &second);
  Dispatch();
  EXPECT_EQ(one_.last_tag, &second);
  watch_.Untag(one_, number, &second);
  watch_.Untag(one_, -1, &second);
  Dispatch();
  EXPECT_EQ(one_.heard.size(), 2U);
  EXPECT_EQ(one_.last_tag, nullptr);
}

TEST_F(Watch, WakesTheLoop) {
  const Pair pair;
  bool ready = false;
  watch_.AsyncWait([&] { ready = true; });
  loop_.poll();
  EXPECT_FALSE(ready);
  watch_.Set(one_, pair.ours.get(), false, true);
  loop_.run_one();
  EXPECT_TRUE(ready);
}

}  // namespace
}  // namespace postcall::http
