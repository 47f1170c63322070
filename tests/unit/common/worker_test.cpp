#include "common/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>

namespace postcall {
namespace {

using namespace std::chrono_literals;

// For what must happen soon; a test that waits this long has failed.
constexpr auto kSoon = 30s;
constexpr auto kNever = 1h;

// A test's worker is the last of its variables: what its body uses outlives the thread, also when the test
// fails.
class WorkerTest : public ::testing::Test {
 protected:
  // Waits for a moment that another thread has set, and fails the test when it does not come.
  static void Await(std::future<void> moment) {
    ASSERT_EQ(moment.wait_for(kSoon), std::future_status::ready);
  }

  Progress progress_;
};

TEST_F(WorkerTest, RunsItsBodyOnAThreadOfItsOwn) {
  std::promise<std::thread::id> ran;
  Worker worker(progress_, "worker");
  worker.Start([&] { ran.set_value(std::this_thread::get_id()); });
  EXPECT_NE(ran.get_future().get(), std::this_thread::get_id());
}

TEST_F(WorkerTest, OwnsWhatItsBodyOwns) {
  auto owned = std::make_unique<int>(7);
  std::promise<int> ran;
  Worker worker(progress_, "worker");
  worker.Start([&ran, owned = std::move(owned)] { ran.set_value(*owned); });
  EXPECT_EQ(ran.get_future().get(), 7);
}

TEST_F(WorkerTest, WaitsUntilTheMomentThatItsBodyNames) {
  const SteadyTime by = Steady::now() + 20ms;
  std::promise<SteadyTime> waited;
  Worker worker(progress_, "worker");
  worker.Start([&] {
    worker.WaitUntil(by);
    waited.set_value(Steady::now());
  });
  EXPECT_GE(waited.get_future().get(), by);
}

TEST_F(WorkerTest, IsWokenFromItsWait) {
  std::promise<void> begun, woken;
  Worker worker(progress_, "worker");
  worker.Start([&] {
    begun.set_value();
    worker.WaitUntil(Steady::now() + kNever);
    woken.set_value();
  });
  Await(begun.get_future());
  worker.Wake();
  Await(woken.get_future());
}

TEST_F(WorkerTest, IsWokenFromItsPause) {
  std::promise<void> begun;
  std::promise<bool> goes_on;
  Worker worker(progress_, "worker");
  worker.Start([&] {
    begun.set_value();
    goes_on.set_value(worker.PauseFor(kNever));
  });
  Await(begun.get_future());
  worker.Wake();
  EXPECT_TRUE(goes_on.get_future().get());
}

TEST_F(WorkerTest, PausesNoMoreOnceItIsStopped) {
  std::promise<bool> goes_on;
  std::promise<void> stopped;
  Worker worker(progress_, "worker");
  worker.Start([&] {
    goes_on.set_value(worker.PauseFor(kNever));
    worker.PauseFor(kNever);
    stopped.set_value();
  });
  worker.RequestStop();
  EXPECT_FALSE(goes_on.get_future().get());
  Await(stopped.get_future());
  worker.Wake();  // a test that fails ends, too
}

TEST_F(WorkerTest, LosesNoWakingBeforeItWaits) {
  std::promise<void> woken;
  Worker worker(progress_, "worker");
  worker.Wake();
  worker.Start([&] {
    worker.WaitUntil(Steady::now() + kNever);
    woken.set_value();
  });
  Await(woken.get_future());
}

TEST_F(WorkerTest, IsWokenOnceByAnyNumberOfWakings) {
  std::atomic<int> waits = 0;
  std::promise<void> twice;
  Worker worker(progress_, "worker");
  worker.Wake();
  worker.Wake();
  worker.Start([&] {
    while (!worker.stopping()) {
      worker.WaitUntil(Steady::now() + kNever);
      if (++waits == 2) twice.set_value();
    }
  });
  std::future<void> second = twice.get_future();
  EXPECT_EQ(second.wait_for(20ms), std::future_status::timeout);
  worker.Wake();
  Await(std::move(second));
}

TEST_F(WorkerTest, IsStoppedWhileItWaits) {
  std::promise<void> begun;
  bool over = false;
  Worker worker(progress_, "worker");
  worker.Start([&] {
    begun.set_value();
    while (!worker.stopping()) worker.WaitUntil(Steady::now() + kNever);
    over = true;
  });
  Await(begun.get_future());
  EXPECT_FALSE(worker.stopping());
  worker.Stop();
  EXPECT_TRUE(worker.stopping());
  EXPECT_TRUE(over);
}

TEST_F(WorkerTest, MayBeStoppedAgainAndWithoutHavingStarted) {
  Worker worker(progress_, "worker");
  worker.Stop();
  worker.Stop();
  Worker other(progress_, "other");
  other.Start([] {});
  other.Stop();
  other.RequestStop();
  other.Stop();
}

// A body may still have work that needs time when it is stopped, such as the recorder's last outcomes. The
// stop wakes it only once.
TEST_F(WorkerTest, WaitsOnWhenItWasToldToStop) {
  int waits = 0;
  std::promise<void> over;
  Worker worker(progress_, "worker");
  worker.Start([&] {
    while (!worker.stopping()) worker.WaitUntil(Steady::now() + kNever);
    const SteadyTime by = Steady::now() + 20ms;
    for (; Steady::now() < by; ++waits) worker.WaitUntil(by);
    over.set_value();
  });
  worker.RequestStop();
  worker.RequestStop();
  Await(over.get_future());
  worker.Stop();
  EXPECT_LE(waits, 2);
}

TEST_F(WorkerTest, EndsBeforeItIsDestroyed) {
  bool over = false;
  {
    Worker worker(progress_, "short");
    worker.Start([&] {
      while (!worker.stopping()) worker.WaitUntil(Steady::now() + kNever);
      over = true;
    });
  }
  EXPECT_TRUE(over);
}

TEST_F(WorkerTest, MakesProgressWhenItWorksAndWaits) {
  std::promise<void> noted, go_on, waiting;
  SteadyTime then;
  Worker worker(progress_, "worker");
  worker.Start([&] {
    then = Steady::now();
    worker.NoteProgress();
    noted.set_value();
    go_on.get_future().get();
    waiting.set_value();
    worker.WaitUntil(Steady::now() + kNever);
  });
  Await(noted.get_future());
  EXPECT_TRUE(progress_.StuckSince(then).empty());
  EXPECT_EQ(progress_.StuckSince(Steady::now() + 1ms), (std::vector<std::string>{"worker"}))
      << "it works, and notes nothing";
  go_on.set_value();
  Await(waiting.get_future());
  // It need not make progress before the end of its wait.
  const SteadyTime end = Steady::now() + kSoon;
  while (!progress_.StuckSince(Steady::now() + 1min).empty() && Steady::now() < end)
    std::this_thread::yield();
  EXPECT_TRUE(progress_.StuckSince(Steady::now() + 1min).empty());
  EXPECT_FALSE(progress_.StuckSince(Steady::now() + kNever + 1min).empty());
  worker.Stop();
  EXPECT_FALSE(progress_.StuckSince(Steady::now() + 1min).empty()) << "the wait is over";
}

}  // namespace
}  // namespace postcall
