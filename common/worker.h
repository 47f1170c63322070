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

  // Runs `body` on the thread. It returns soon after stopping() has become true. Once.
  void Start(UniqueFunction<void()> body);

  // Ends the body's wait; when it does not wait now, then its next wait. Any thread.
  void Wake();

  // Tells the body to end, and wakes it. Idempotent. Any thread.
  void RequestStop();
  bool stopping() const;

  // RequestStop, and waits until the body has returned. Idempotent. The owner's thread.
  void Stop();

  // The body's own: returns when `by` has passed, or when it was woken since its last wait. A body that has
  // something left to do when it is stopped may go on waiting. Notes progress.
  void WaitUntil(SteadyTime by);
  // The body's own: WaitUntil for a body that ends when it is stopped. False, at once, when it must end.
  bool PauseFor(Steady::duration length);
  // The body's own.
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
