// Reads the Prometheus text format strictly, so that a test can check what was exposed. Any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace postcall::metrics {

struct Sample {
  std::string name;  // with _bucket, _sum or _count
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct ExposedFamily {
  std::string help;
  std::string type;
  std::vector<Sample> samples;
};

using Exposition = std::map<std::string, ExposedFamily>;

// Throws std::runtime_error with the line for everything that a strict reader would refuse: a sample before
// its HELP and TYPE, a family that is declared twice, the same series twice, a malformed label or number.
Exposition ParseExposition(const std::string& text);

// The value of one series; throws std::out_of_range when there is no such series.
double ValueOf(const Exposition& exposition, const std::string& name,
               const std::map<std::string, std::string>& labels = {});

}  // namespace postcall::metrics
