// The real binary, run as its users run it: a process of its own, seen only through its log, its admin port
// and its exit code. One thread (the log is read by another).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
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
  std::map<std::string, std::string> environment = {};  // beside the test's own
  std::string resolv_conf =
      {};  // what the process sees as /etc/resolv.conf; needs root. Empty: the machine's
  std::optional<unsigned> descriptor_limit = {};  // of open files; none: the test's own
};

struct HttpAnswer {
  int status = 0;
  std::string body;
};

class Service {
 public:
  explicit Service(ServiceOptions options);
  // Ends the process at once if it still runs.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;  // any thread
  // SIGSTOP, until it has stopped.
  void Freeze() const;
  // The exit code, or 128 plus the signal; none while it still runs after `limit`.
  std::optional<int> Wait(std::chrono::milliseconds limit);

  // Standard error so far.
  std::string log() const;
  std::string output() const;
  bool WaitForLog(const std::string& text, std::chrono::milliseconds limit = std::chrono::seconds(20)) const;

  // From now on nobody reads standard error, or somebody does again.
  void ReadLog(bool wanted);

  // GET from the admin port, which the log names. `host` replaces the Host header.
  HttpAnswer Get(const std::string& path, const std::string& host = "") const;
  // A sample of /metrics, by its full name with labels; none when it is not there.
  std::optional<double> Metric(const std::string& series) const;
  bool WaitUntilReady(std::chrono::milliseconds limit = std::chrono::seconds(20)) const;

  // From now on the process may have no more than that of RLIMIT_NOFILE, RLIMIT_AS or the like, as far as its
  // own hard limit allows.
  void Limit(int resource, std::uint64_t most) const;
  // What it has: open descriptors, and bytes of address space.
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
