// A process loads this with LD_PRELOAD, and then its wall clock is wrong. The first eight bytes of the file
// that WRONG_CLOCK_FILE names say by how many seconds, at each moment. The steady clock is not changed. It
// calls only the kernel, because an allocator reads the clock before our code or the C library is ready.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

const volatile std::int64_t* wrong_by = nullptr;

__attribute__((constructor)) void Begin() {
  const char* path = ::getenv("WRONG_CLOCK_FILE");
  if (path == nullptr) return;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  void* const page = ::mmap(nullptr, sizeof(*wrong_by), PROT_READ, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) ::abort();
  ::close(fd);
  wrong_by = static_cast<const volatile std::int64_t*>(page);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const auto failed = static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
  const bool is_wall_clock = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (failed == 0 && is_wall_clock && wrong_by != nullptr) now->tv_sec += *wrong_by;
  return failed;
}

int gettimeofday(timeval* __restrict now, void* __restrict) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  *now = {exact.tv_sec, exact.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* now) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now != nullptr) *now = exact.tv_sec;
  return exact.tv_sec;
}

}  // extern "C"
