// A server program that a test starts: as a user that is not root, in a folder of its own, with its output in
// a log there. Ends when the test does. One thread at a time; start it on a thread that outlives it, for the
// program ends with the thread that started it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace postcall::test {

class ServerProcess {
 public:
  // `words`: the program's path, then its arguments. Writes to `log_name` in `folder`, which is also its
  // working folder.
  ServerProcess(const std::vector<std::string>& words, const std::filesystem::path& folder,
                const std::string& log_name);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const { return pid_; }
  // `status` as waitpid gives it.
  bool HasEnded(int& status);
  // Until it has ended by itself.
  int Wait();
  // Until it is gone; SIGKILL after a minute.
  void End(int signal);

 private:
  pid_t pid_ = -1;
};

// In a child, just before it becomes another program: closed then is whatever else this process had open.
// Asio's sockets would stay open, and the peer of one that is closed here would never hear of it.
void KeepNoDescriptors();

// Makes the folder the server's user's own.
void GiveToServerUser(const std::filesystem::path& folder);

// A TCP port of 127.0.0.1 that nobody uses at this moment.
std::uint16_t FreePort();

// The whole file, empty when there is none.
std::string ReadFile(const std::filesystem::path& path);

}  // namespace postcall::test
