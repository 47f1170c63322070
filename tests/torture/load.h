// The platform of a torture run: it completes calls at a steady rate on a thread of its own. About half of
// them it completes in a way that could make a dispatcher send twice. It continues when the database is back.
#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace postcall::test {

class Load {
 public:
  // Completes `per_second` calls, of the agents agent-1 … agent-`agents` in turn.
  Load(std::string database_url, int agents, int per_second, unsigned seed);
  ~Load() { Stop(); }

  void Stop();
  // The number of calls whose completion was committed, or may have been.
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
