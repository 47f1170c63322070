// What the tests of the metrics' values share: a sample of /metrics, and what the log says instead. One
// thread.
#pragma once

#include <chrono>
#include <string>

#include "tests/system/system_test.h"

namespace postcall::test {

class MetricValues : public SystemTest {
 protected:
  static double Metric(const Service& service, const std::string& series) {
    return service.Metric(series).value_or(-1);
  }
  // A sum, a count or another expression over the log.
  double OfLog(const std::string& expression, const std::string& condition = "true") {
    return std::stod(platform_.Value("SELECT coalesce((" + expression +
                                     ")::float8, 0) FROM webhook_deliveries WHERE " + condition));
  }

  // The metrics of a delivery are complete a moment after its row is.
  void WaitUntilCounted(const Service& service) {
    ASSERT_TRUE(platform_.WaitUntilSettled(std::chrono::seconds(30))) << service.log();
    ASSERT_TRUE(service.WaitForMetric("postcall_outcomes_unrecorded", 0));
    ASSERT_TRUE(service.WaitForMetric("postcall_in_flight", 0));
    ASSERT_TRUE(service.WaitForMetric("postcall_claim_batch_size_sum", OfLog("count(*)")));
  }
};

}  // namespace postcall::test
