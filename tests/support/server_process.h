// A server program that a test starts: as a user that is not root, in a folder of its own, with its output in
// a log there. It ends when the test ends. One thread at a time; start it on a thread that outlives it,
// because the program ends with the thread that started it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace postcall::test {

class ServerProcess {
 public:
  // `words`: the program's path, then its arguments. Its output goes to `log_name` in `folder`, which is also
  // its working folder.
  ServerProcess(const std::vector<std::string>& words, const std::filesystem::path& folder,
                const std::string& log_name);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const { return pid_; }
  // `status` is the one of waitpid.
  bool HasEnded(int& status);
  // Waits until it has ended by itself.
  int Wait();
  // Waits until it has ended; sends SIGKILL after a minute.
  void End(int signal);

 private:
  pid_t pid_ = -1;
};

// Call it in a child just before exec: it closes all other descriptors of this process. Otherwise Asio's
// sockets would stay open in the child, and when this process closes one, its peer would not notice.
void KeepNoDescriptors();

// Makes the server's user the owner of the folder.
void GiveToServerUser(const std::filesystem::path& folder);

// A TCP port of 127.0.0.1 that is free at this moment.
std::uint16_t FreePort();

// The whole file; empty when there is no such file.
std::string ReadFile(const std::filesystem::path& path);

}  // namespace postcall::test
