// The real binary, run as its users run it: a process of its own, of which the test sees only the log, the
// admin port and the exit code. One thread (another thread reads the log).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/handle.h"

namespace postcall::test {

struct ServiceOptions {
  std::string command = "run";
  std::vector<std::string> arguments = {};
  std::map<std::string, std::string> environment =
      {};  // added to the test's own variables without POSTCALL_…
  // Files that the process sees as these files in /etc; this needs root. Empty: the machine's own.
  std::string resolv_conf = {};
  std::string hosts = {};
  std::optional<unsigned> descriptor_limit = {};  // of open files; no value: the test's own
};

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// A sample of the text of /metrics, by its full name with labels; no value when there is no such sample.
std::optional<double> SampleIn(const std::string& metrics, const std::string& series);

class Service {
 public:
  explicit Service(ServiceOptions options);
  // Kills the process if it still runs.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;  // any thread
  // Sends SIGSTOP and waits until the process has stopped.
  void Freeze() const;
  // The exit code, or 128 plus the signal; no value when the process still runs after `limit`.
  std::optional<int> Wait(std::chrono::milliseconds limit);

  // Standard error so far.
  std::string log() const;
  std::string output() const;
  bool WaitForLog(const std::string& text, std::chrono::milliseconds limit = std::chrono::seconds(20)) const;

  // Stops reading standard error, or starts again.
  void ReadLog(bool wanted);

  // A GET to the admin port that the log names. `host` replaces the Host header.
  HttpAnswer Get(const std::string& path, const std::string& host = "") const;
  // A sample of /metrics as it is now. To compare two samples, take both from one answer by SampleIn.
  std::optional<double> Metric(const std::string& series) const;
  // Waits for a sample of this value, or for one for which `holds` is true.
  bool WaitForMetric(const std::string& series, double expected) const;
  bool WaitForMetric(const std::string& series, const std::function<bool(double)>& holds) const;
  bool WaitUntilReady(std::chrono::milliseconds limit = std::chrono::seconds(20)) const;

  // Sets a limit of the running process, such as RLIMIT_NOFILE or RLIMIT_AS, up to its hard limit.
  void Limit(int resource, std::uint64_t most) const;
  // The number of its open descriptors, and the bytes of its address space.
  std::uint64_t Descriptors() const;
  std::uint64_t AddressSpace() const;

 private:
  bool HasEnded();
  void Read(int fd, std::string& into);
  std::uint16_t AdminPort() const;

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::string log_;
  bool reads_log_ = true;
  std::string output_;
  FileDescriptor log_pipe_;
  FileDescriptor output_pipe_;
  std::thread log_reader_;
  std::thread output_reader_;
};

}  // namespace postcall::test
