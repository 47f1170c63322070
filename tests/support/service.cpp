#include "tests/support/service.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <stdexcept>
#include <system_error>

#include "common/clock.h"
#include "tests/support/server_process.h"

namespace postcall::test {
namespace {

struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};

Pipe MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// Call it after the fork. The mounts end with the process.
bool MountFiles(const ServiceOptions& options) {
  if (options.resolv_conf.empty() && options.hosts.empty()) return true;
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return false;
  }
  const auto mounted = [](const std::string& file, const char* at) {
    return file.empty() || ::mount(file.c_str(), at, nullptr, MS_BIND, nullptr) == 0;
  };
  return mounted(options.resolv_conf, "/etc/resolv.conf") && mounted(options.hosts, "/etc/hosts");
}

}  // namespace

Service::Service(ServiceOptions options) {
  Pipe log = MakePipe();
  Pipe output = MakePipe();
  // Everything that allocates happens before the fork: this process has threads.
  std::vector<std::string> words = {POSTCALL_BINARY, options.command};
  words.insert(words.end(), options.arguments.begin(), options.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> settings;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (text.starts_with("POSTCALL_")) continue;  // these are for the tests themselves, or for the developer
    if (!options.environment.contains(text.substr(0, text.find('=')))) settings.push_back(text);
  }
  for (const auto& [name, value] : options.environment) settings.push_back(name + "=" + value);
  // How the tests of the promise are run with another number of claim sessions than the default.
  if (const char* sessions = std::getenv("TEST_CLAIM_SESSIONS");
      sessions != nullptr && options.command == "run")
    settings.push_back("POSTCALL_CLAIM_SESSIONS=" + std::string(sessions));
  std::vector<char*> envp;
  for (std::string& setting : settings) envp.push_back(setting.data());
  envp.push_back(nullptr);

  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // so that the process ends when the test dies
    ::dup2(log.write.get(), STDERR_FILENO);
    ::dup2(output.write.get(), STDOUT_FILENO);
    if (!MountFiles(options)) {
      ::perror("cannot mount files in /etc; this needs root and / as a mount point");
      ::_exit(126);
    }
    if (options.descriptor_limit) {
      const rlimit limit{*options.descriptor_limit, *options.descriptor_limit};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    KeepNoDescriptors();
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  log_pipe_ = std::move(log.read);
  output_pipe_ = std::move(output.read);
  log_reader_ = std::thread([this] { Read(log_pipe_.get(), log_); });
  output_reader_ = std::thread([this] { Read(output_pipe_.get(), output_); });
}

Service::~Service() {
  Signal(SIGKILL);
  Wait(std::chrono::seconds(20));
}

void Service::Signal(int signal) const {
  const std::lock_guard lock(mutex_);
  if (!exit_code_) ::kill(pid_, signal);
}

void Service::Freeze() const {
  Signal(SIGSTOP);
  siginfo_t stopped{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED | WEXITED | WNOWAIT);
}

std::optional<int> Service::Wait(std::chrono::milliseconds limit) {
  const SteadyTime deadline = Steady::now() + limit;
  while (!HasEnded()) {
    if (Steady::now() >= deadline) return std::nullopt;
    ::usleep(2000);  // waitpid has no time limit
  }
  for (std::thread* reader : {&log_reader_, &output_reader_}) {
    if (reader->joinable()) reader->join();  // so that log() and output() are complete
  }
  return exit_code_;
}

// It holds the lock, so that no thread signals a process that has been waited for: another process may have
// its number by then.
bool Service::HasEnded() {
  const std::lock_guard lock(mutex_);
  int status = 0;
  if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    changed_.notify_all();
  }
  return exit_code_.has_value();
}

void Service::Read(int fd, std::string& into) {
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count <= 0) return;
    std::unique_lock lock(mutex_);
    into.append(buffer.data(), static_cast<std::size_t>(count));
    changed_.notify_all();
    changed_.wait(lock, [&] { return &into != &log_ || reads_log_ || exit_code_; });
  }
}

void Service::ReadLog(bool wanted) {
  const std::lock_guard lock(mutex_);
  reads_log_ = wanted;
  changed_.notify_all();
}

std::string Service::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::string Service::output() const {
  const std::lock_guard lock(mutex_);
  return output_;
}

bool Service::WaitForLog(const std::string& text, std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return log_.find(text) != std::string::npos; });
}

std::uint16_t Service::AdminPort() const {
  std::unique_lock lock(mutex_);
  std::smatch match;
  const std::regex address(R"(admin port[^\n]*127\.0\.0\.1:(\d+))");
  const bool found = changed_.wait_for(lock, std::chrono::seconds(20),
                                       [&] { return std::regex_search(log_, match, address); });
  if (!found) throw std::runtime_error("the log names no admin port:\n" + log_);
  return static_cast<std::uint16_t>(std::stoi(match[1]));
}

HttpAnswer Service::Get(const std::string& path, const std::string& host) const {
  namespace http = boost::beast::http;
  boost::asio::io_context loop;
  boost::asio::ip::tcp::socket socket(loop);
  const std::uint16_t port = AdminPort();
  socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
  http::request<http::empty_body> request(http::verb::get, path, 11);
  request.set(http::field::host, host.empty() ? "127.0.0.1:" + std::to_string(port) : host);
  request.set(http::field::connection, "close");
  http::write(socket, request);
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::uint64_t{64} << 20);
  http::read(socket, buffer, parser);
  return {static_cast<int>(parser.get().result_int()), parser.get().body()};
}

std::optional<double> SampleIn(const std::string& metrics, const std::string& series) {
  const std::string text = "\n" + metrics;
  const auto at = text.find("\n" + series + " ");
  if (at == std::string::npos) return std::nullopt;
  return std::stod(text.substr(at + series.size() + 2));
}

std::optional<double> Service::Metric(const std::string& series) const {
  return SampleIn(Get("/metrics").body, series);
}

bool Service::WaitForMetric(const std::string& series, double expected) const {
  return WaitForMetric(series, [expected](double value) { return value == expected; });
}

bool Service::WaitForMetric(const std::string& series, const std::function<bool(double)>& holds) const {
  const SteadyTime deadline = Steady::now() + std::chrono::seconds(30);
  while (true) {
    const std::optional<double> value = Metric(series);
    if (value && holds(*value)) return true;
    if (Steady::now() >= deadline) return false;
    ::usleep(20'000);  // the admin port has no event to wait for
  }
}

bool Service::WaitUntilReady(std::chrono::milliseconds limit) const {
  const SteadyTime deadline = Steady::now() + limit;
  while (Get("/readyz").status != 200) {
    if (Steady::now() >= deadline) return false;
    ::usleep(10'000);  // the admin port has no event to wait for
  }
  return true;
}

void Service::Limit(int resource, std::uint64_t most) const {
  const auto which = static_cast<__rlimit_resource>(resource);
  rlimit limit{};
  int failed = ::prlimit(pid_, which, nullptr, &limit);
  limit.rlim_cur = std::min<rlim_t>(most, limit.rlim_max);
  if (failed == 0) failed = ::prlimit(pid_, which, &limit, nullptr);
  if (failed != 0) {
    throw std::system_error(errno, std::generic_category(), "prlimit");
  }
}

std::uint64_t Service::Descriptors() const {
  const std::filesystem::directory_iterator open("/proc/" + std::to_string(pid_) + "/fd");
  return static_cast<std::uint64_t>(std::distance(begin(open), end(open)));
}

std::uint64_t Service::AddressSpace() const {
  std::uint64_t pages = 0;
  std::ifstream("/proc/" + std::to_string(pid_) + "/statm") >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace postcall::test
