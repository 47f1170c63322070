#include "dispatcher/metrics/process_metrics.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <chrono>
#include <cstring>
#include <vector>

#include "common/handle.h"
#include "tests/unit/metrics/exposition.h"

namespace postcall::metrics {
namespace {

Exposition Exposed(const ProcessMetrics& process = ProcessMetrics()) {
  return ParseExposition(prometheus::TextSerializer().Serialize(process.Collect()));
}

double Read(const std::string& name) { return ValueOf(Exposed(), name); }

TEST(ProcessMetrics, HaveTheNamesAndTypesOfTheClientLibraries) {
  std::map<std::string, std::string> types;
  for (const auto& [name, family] : Exposed()) types[name] = family.type;
  EXPECT_EQ(types, (std::map<std::string, std::string>{{"process_cpu_seconds_total", "counter"},
                                                       {"process_resident_memory_bytes", "gauge"},
                                                       {"process_virtual_memory_bytes", "gauge"},
                                                       {"process_open_fds", "gauge"},
                                                       {"process_max_fds", "gauge"},
                                                       {"process_start_time_seconds", "gauge"}}));
}

int CountDescriptors() {
  int open = 0;
  for (int fd = 0; fd < 1'000; ++fd) open += ::fcntl(fd, F_GETFD) >= 0;
  return open;
}

TEST(ProcessMetrics, OpenDescriptorsAreCountedExactly) {
  EXPECT_EQ(Read("process_open_fds"), CountDescriptors());
  const FileDescriptor one(::open("/dev/null", O_RDONLY));
  const FileDescriptor another(::open("/dev/null", O_RDONLY));
  EXPECT_EQ(Read("process_open_fds"), CountDescriptors());
}

TEST(ProcessMetrics, MostDescriptorsAreTheSoftLimit) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(Read("process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST(ProcessMetrics, CpuSecondsGrowAsTimeIsSpent) {
  const double before = Read("process_cpu_seconds_total");
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (Read("process_cpu_seconds_total") <= before && std::chrono::steady_clock::now() < give_up) {
  }
  EXPECT_GT(Read("process_cpu_seconds_total"), before);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double used = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  EXPECT_NEAR(Read("process_cpu_seconds_total"), used, 0.5);
}

TEST(ProcessMetrics, StartIsBeforeNowAndAfterBoot) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_LE(Read("process_start_time_seconds"), now + 1);
  EXPECT_GT(Read("process_start_time_seconds"), now - 3600);
}

TEST(ProcessMetrics, MemoryIsInBytesAndGrowsWithUse) {
  constexpr std::size_t kSize = 64 << 20;
  const double resident = Read("process_resident_memory_bytes");
  const double virtual_size = Read("process_virtual_memory_bytes");
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kSize);
  EXPECT_GT(Read("process_resident_memory_bytes"), resident + kSize / 2.);
  EXPECT_GE(Read("process_virtual_memory_bytes"), virtual_size + kSize / 2.);
  ::munmap(memory, kSize);
}

TEST(ProcessMetrics, SurviveAProgramNameWithSpacesAndParentheses) {
  char name[17] = {};
  ::prctl(PR_GET_NAME, name);
  ::prctl(PR_SET_NAME, ") 1 (x) 9 9");
  EXPECT_GT(Read("process_virtual_memory_bytes"), 1'000'000);
  EXPECT_GT(Read("process_start_time_seconds"), 1'000'000'000);
  ::prctl(PR_SET_NAME, name);
}

TEST(ProcessMetrics, WhatCannotBeReadIsLeftOut) {
  EXPECT_TRUE(ProcessMetrics("/nonexistent").Collect().empty());
}

}  // namespace
}  // namespace postcall::metrics
