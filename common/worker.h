// A thread that works, waits, is woken and is stopped. The class that has one makes it its last member, so
// that the thread ends before anything that it uses.
#pragma once

#include <string>
#include <thread>
#include <utility>

#include "common/clock.h"
#include "common/mutex.h"
#include "common/progress.h"
#include "common/unique_function.h"

namespace postcall {

class Worker {
 public:
  // `progress` watches the thread under this name from now on. The thread begins with Start.
  Worker(Progress& progress, std::string name) : progress_(progress.Add(std::move(name))) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs `body` on the thread; call it once. `body` must return soon after stopping() has become true.
  void Start(UniqueFunction<void()> body);

  // Ends the body's wait, or its next wait when it does not wait now. Any thread.
  void Wake();

  // Tells the body to end, and wakes it. Idempotent. Any thread.
  void RequestStop();
  bool stopping() const;

  // Calls RequestStop and waits until the body has returned. Idempotent. The owner's thread.
  void Stop();

  // Only the body calls it. Returns when `by` has passed, or when the thread was woken since its last wait;
  // notes progress. A body that still has work to do when it is stopped may go on waiting.
  void WaitUntil(SteadyTime by);
  // Only the body calls it. Like WaitUntil, for a body that ends when it is stopped: returns false at once
  // when it must end.
  bool PauseFor(Steady::duration length);
  // Only the body calls it.
  void NoteProgress() { progress_.Note(Steady::now()); }

 private:
  Progress::Thread& progress_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool woken_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace postcall
