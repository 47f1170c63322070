// A wall clock that is wrong, only for the processes that get its environment. Any thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

namespace postcall::test {

class WrongClock {
 public:
  // `name` distinguishes the clocks of one test.
  explicit WrongClock(const std::string& name, std::chrono::seconds wrong_by = std::chrono::seconds(0));
  ~WrongClock();
  WrongClock(const WrongClock&) = delete;
  WrongClock& operator=(const WrongClock&) = delete;

  // For ServiceOptions.
  std::map<std::string, std::string> Environment() const;
  // Changes the error from now on; processes that run see a step.
  void Set(std::chrono::seconds wrong_by) const;

 private:
  const std::filesystem::path file_;
};

}  // namespace postcall::test
