#include "common/mutex.h"

#include <gtest/gtest.h>

#include <thread>

namespace postcall {
namespace {

using namespace std::chrono_literals;

// The annotations themselves are tested by tests/lint/unguarded.cpp, which the lint must refuse.
TEST(Mutex, IsHeldByOneThreadAtATime) {
  Mutex mutex;
  int count = 0;
  const auto add = [&] {
    for (int i = 0; i < 100'000; ++i) {
      const MutexLock lock(mutex);
      ++count;
    }
  };
  std::thread other(add);
  add();
  other.join();
  EXPECT_EQ(count, 200'000);
}

TEST(CondVar, ReturnsWithTheLockWhenItIsNotified) {
  Mutex mutex;
  CondVar changed;
  bool asked = false;
  bool answered = false;
  std::thread other([&] {
    MutexLock lock(mutex);
    while (!asked) changed.Wait(lock);
    answered = true;
    changed.NotifyAll();
  });
  {
    MutexLock lock(mutex);
    asked = true;
    changed.NotifyOne();
    while (!answered) changed.Wait(lock);
  }
  other.join();
}

TEST(CondVar, WaitsNoLongerThanUntil) {
  Mutex mutex;
  CondVar changed;
  const SteadyTime by = Steady::now() + 20ms;
  MutexLock lock(mutex);
  while (Steady::now() < by) changed.WaitUntil(lock, by);
  EXPECT_GE(Steady::now(), by);
}

}  // namespace
}  // namespace postcall
