// The platform of a torture run: completes calls at a steady rate on a thread of its own, as often as not in
// a way that tempts a dispatcher to send twice, and goes on whenever the database is back.
#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace postcall::test {

class Load {
 public:
  // `per_second` calls, dealt to agents agent-1 … agent-`agents`.
  Load(std::string database_url, int agents, int per_second, unsigned seed);
  ~Load() { Stop(); }

  void Stop();
  // Calls whose completion was committed, or may have been.
  int completed() const { return completed_; }

 private:
  void Run(unsigned seed);

  const std::string database_url_;
  const int agents_;
  const int per_second_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> completed_ = 0;
  std::thread thread_;
};

}  // namespace postcall::test
