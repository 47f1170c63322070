#include "common/handle.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace postcall {
namespace {

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

FileDescriptor OpenNull() { return FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST(FileDescriptor, ClosesWhenItIsDestroyed) {
  int fd = -1;
  {
    const FileDescriptor owner = OpenNull();
    fd = owner.get();
    ASSERT_TRUE(owner);
    EXPECT_TRUE(IsOpen(fd));
  }
  EXPECT_FALSE(IsOpen(fd));
}

TEST(FileDescriptor, MovesItsOwnership) {
  FileDescriptor first = OpenNull();
  const int fd = first.get();
  FileDescriptor second(std::move(first));
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): the test is about the state after a move
  EXPECT_EQ(second.get(), fd);

  FileDescriptor third = OpenNull();
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_EQ(third.get(), fd);
  EXPECT_TRUE(IsOpen(fd));
  EXPECT_FALSE(IsOpen(replaced));
}

TEST(FileDescriptor, SurvivesAMoveToItself) {
  FileDescriptor owner = OpenNull();
  FileDescriptor& same = owner;
  owner = std::move(same);
  ASSERT_TRUE(owner);
  EXPECT_TRUE(IsOpen(owner.get()));
}

TEST(FileDescriptor, NoLongerOwnsWhatIsReleased) {
  FileDescriptor owner = OpenNull();
  const FileDescriptor other(owner.release());
  EXPECT_FALSE(owner);
  owner.reset();
  EXPECT_TRUE(IsOpen(other.get()));
}

int g_released = 0;
void Release(int* value) { g_released += *value; }

TEST(Handle, CallsTheReleaseFunctionOnce) {
  int value = 7;
  g_released = 0;
  {
    Handle<int, Release> handle(&value);
    const Handle<int, Release> moved = std::move(handle);
  }
  EXPECT_EQ(g_released, 7);
}

}  // namespace
}  // namespace postcall
