// A wall clock that is wrong for the processes that are given it, and for no other. Any thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

namespace postcall::test {

class WrongClock {
 public:
  // `name` tells the clocks of one test apart.
  explicit WrongClock(const std::string& name, std::chrono::seconds wrong_by = std::chrono::seconds(0));
  ~WrongClock();
  WrongClock(const WrongClock&) = delete;
  WrongClock& operator=(const WrongClock&) = delete;

  // For ServiceOptions.
  std::map<std::string, std::string> Environment() const;
  // From this moment on, a step for those that run.
  void Set(std::chrono::seconds wrong_by) const;

 private:
  const std::filesystem::path file_;
};

}  // namespace postcall::test
