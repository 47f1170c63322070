// The process_* metrics as Prometheus client libraries name them, read from /proc/self when scraped.
// prometheus-cpp has none of its own. Any thread.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace postcall::metrics {

class ProcessMetrics : public prometheus::Collectable {
 public:
  explicit ProcessMetrics(std::string proc = "/proc") : proc_(std::move(proc)) {}

  // A value that cannot be read is left out: a zero would be wrong.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::string proc_;
};

}  // namespace postcall::metrics
