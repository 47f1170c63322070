#include "tests/support/server_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/handle.h"

namespace postcall::test {
namespace {

// If a server inherited an endpoint's connection, the connection would not end when the endpoint closes it.
TEST(ServerProcess, InheritsNoDescriptorOfTheTest) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const FileDescriptor read(ends[0]);
  FileDescriptor write(ends[1]);
  std::string folder = (std::filesystem::temp_directory_path() / "server-process-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  if (::geteuid() == 0) GiveToServerUser(folder);
  ServerProcess sleep({"/bin/sleep", "600"}, folder, "log");
  write.reset();
  pollfd end{read.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&end, 1, 20'000), 1) << "the server holds the pipe's other end";
  EXPECT_EQ(end.revents, POLLHUP);
  sleep.End(SIGKILL);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace postcall::test
