#include "dispatcher/metrics/process_metrics.h"

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

namespace postcall::metrics {
namespace {

using prometheus::MetricType;

// The numbers of /proc/self/stat that we need, by the names of proc(5).
struct Stat {
  std::uint64_t utime = 0;
  std::uint64_t stime = 0;
  std::uint64_t starttime = 0;
  std::uint64_t vsize = 0;
  std::uint64_t rss = 0;
};

std::optional<Stat> ReadStat(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The second field is the program's name in parentheses. The name may contain spaces and parentheses.
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  Stat stat;
  std::string field;
  for (int number = 3; number <= 24; ++number) {
    switch (number) {
      case 14:
        fields >> stat.utime;
        break;
      case 15:
        fields >> stat.stime;
        break;
      case 22:
        fields >> stat.starttime;
        break;
      case 23:
        fields >> stat.vsize;
        break;
      case 24:
        fields >> stat.rss;
        break;
      default:
        fields >> field;
    }
  }
  if (!fields) return std::nullopt;
  return stat;
}

// The number after `name` at the start of a line; no value when there is no such line, or when it has no
// number ("unlimited").
std::optional<double> ReadNumberAfter(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream rest(line.substr(name.size()));
    double number = 0;
    if (rest >> number) return number;
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<double> CountDescriptors(const std::string& path) {
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  if (error) return std::nullopt;
  double count = 0;
  for (; entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (error) return std::nullopt;
    ++count;
  }
  return count - 1;  // not the one that is open for this count
}

class Families {
 public:
  void Add(std::string name, std::string help, MetricType type, std::optional<double> value) {
    if (!value) return;
    prometheus::ClientMetric metric;
    if (type == MetricType::Counter) {
      metric.counter.value = *value;
    } else {
      metric.gauge.value = *value;
    }
    families_.push_back({std::move(name), std::move(help), type, {std::move(metric)}});
  }

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  const std::optional<Stat> stat = ReadStat(proc_ + "/self/stat");
  const std::optional<double> boot = ReadNumberAfter(proc_ + "/stat", "btime ");
  const auto from_stat = [&stat](auto value) {
    return stat ? std::optional<double>(value(*stat)) : std::nullopt;
  };

  Families families;
  families.Add("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
               MetricType::Counter,
               from_stat([&](const Stat& s) { return static_cast<double>(s.utime + s.stime) / ticks; }));
  families.Add("process_open_fds", "Number of open file descriptors.", MetricType::Gauge,
               CountDescriptors(proc_ + "/self/fd"));
  families.Add("process_max_fds", "Maximum number of open file descriptors.", MetricType::Gauge,
               ReadNumberAfter(proc_ + "/self/limits", "Max open files"));
  families.Add("process_virtual_memory_bytes", "Virtual memory size in bytes.", MetricType::Gauge,
               from_stat([](const Stat& s) { return static_cast<double>(s.vsize); }));
  families.Add("process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::Gauge,
               from_stat([&](const Stat& s) { return static_cast<double>(s.rss) * page; }));
  if (boot) {
    families.Add("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
                 MetricType::Gauge,
                 from_stat([&](const Stat& s) { return *boot + static_cast<double>(s.starttime) / ticks; }));
  }
  return families.Take();
}

}  // namespace postcall::metrics
