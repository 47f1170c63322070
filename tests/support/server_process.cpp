#include "tests/support/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "common/clock.h"
#include "common/handle.h"

namespace postcall::test {
namespace {

constexpr auto kStopLimit = std::chrono::seconds(60);
constexpr auto kPause = std::chrono::milliseconds(5);

struct User {
  uid_t uid;
  gid_t gid;
};

User ServerUser() {
  if (::geteuid() != 0) return {::geteuid(), ::getegid()};
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* entry = ::getpwnam(name)) return {entry->pw_uid, entry->pw_gid};
  }
  throw std::runtime_error("no user to run PostgreSQL as");
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& words, const std::filesystem::path& folder,
                             const std::string& log_name) {
  // Everything that allocates happens before the fork: this process may have threads.
  std::vector<std::string> copies = words;
  std::vector<char*> argv;
  argv.reserve(copies.size() + 1);
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log_path = (folder / log_name).string();
  const std::string working_folder = folder.string();
  const User user = ServerUser();
  const bool drop_rights = ::geteuid() == 0;

  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) {
    if (drop_rights && (::setgroups(0, nullptr) != 0 || ::setgid(user.gid) != 0 || ::setuid(user.uid) != 0)) {
      ::_exit(126);
    }
    ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // so that the server ends when the test dies
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setpgid(0, 0);  // Ctrl-C reaches only the test, which then ends the server
    const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (::chdir(working_folder.c_str()) != 0 || log < 0) ::_exit(126);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    KeepNoDescriptors();
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  pid_ = child;
}

ServerProcess::~ServerProcess() { End(SIGQUIT); }

bool ServerProcess::HasEnded(int& status) {
  if (pid_ <= 0) return true;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  pid_ = -1;
  return true;
}

int ServerProcess::Wait() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

void ServerProcess::End(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, signal);
  SteadyTime deadline = Steady::now() + kStopLimit;
  int status = 0;
  while (!HasEnded(status)) {
    if (Steady::now() >= deadline) {
      ::kill(pid_, SIGKILL);
      deadline += kStopLimit;
    }
    std::this_thread::sleep_for(kPause);
  }
}

void KeepNoDescriptors() { ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC); }

void GiveToServerUser(const std::filesystem::path& folder) {
  const User user = ServerUser();
  if (::chown(folder.c_str(), user.uid, user.gid) != 0) throw std::runtime_error("chown " + folder.string());
}

std::uint16_t FreePort() {
  const FileDescriptor probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::runtime_error("no free TCP port");
  }
  return ntohs(address.sin_port);
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace postcall::test
