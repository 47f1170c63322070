// The files for Prometheus and Grafana in deploy/ use only metrics that the program exposes.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "dispatcher/metrics/metrics.h"
#include "tests/unit/metrics/exposition.h"

namespace postcall::metrics {
namespace {

constexpr const char* kAlerts = POSTCALL_SOURCE_DIR "/deploy/prometheus/alerts.yml";
constexpr const char* kDashboard = POSTCALL_SOURCE_DIR "/deploy/grafana/dashboard.json";

std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) throw std::runtime_error("cannot read " + path);
  return text;
}

class ShippedQueries : public ::testing::TestWithParam<const char*> {
 protected:
  // The names of the samples that a query can use, each with its labels and their values.
  ShippedQueries() {
    const Exposition exposition = ParseExposition(Metrics().Expose());
    for (const auto& [family, exposed] : exposition) {
      families_.insert(family);
      for (const Sample& sample : exposed.samples) {
        auto& labels = samples_[sample.name];
        for (const auto& [label, value] : sample.labels) labels[label].insert(value);
      }
    }
  }

  std::set<std::string> families_;
  std::map<std::string, std::map<std::string, std::set<std::string>>> samples_;
};

// The names of metrics in queries and in the sentences about them.
std::set<std::string> NamesIn(const std::string& text) {
  static const std::regex kName(R"(\b(?:postcall|process)_[a-z0-9_]+)");
  std::set<std::string> names;
  for (std::sregex_iterator match(text.begin(), text.end(), kName); match != std::sregex_iterator();
       ++match) {
    names.insert(match->str());
  }
  return names;
}

TEST_P(ShippedQueries, NameOnlyMetricsThatExist) {
  const std::set<std::string> names = NamesIn(Read(GetParam()));
  EXPECT_GE(names.size(), 15u);
  for (const std::string& name : names) {
    EXPECT_TRUE(samples_.contains(name) || families_.contains(name)) << name;
  }
}

TEST_P(ShippedQueries, SelectOnlyLabelsAndValuesThatExist) {
  static const std::regex kSelector(R"re(\b((?:postcall|process)_[a-z0-9_]+)\{([^{}]*)\})re");
  static const std::regex kMatcher(R"re(([a-z_]+)(=~|!=|!~|=)\\?"([^"\\]*)\\?")re");
  const std::string text = Read(GetParam());
  int matchers = 0;
  for (std::sregex_iterator match(text.begin(), text.end(), kSelector); match != std::sregex_iterator();
       ++match) {
    const std::string name = (*match)[1];
    const std::string selector = (*match)[2];
    for (std::sregex_iterator part(selector.begin(), selector.end(), kMatcher);
         part != std::sregex_iterator(); ++part) {
      ++matchers;
      const std::string label = (*part)[1];
      if (label == "instance" || label == "job") continue;  // Prometheus adds these
      ASSERT_TRUE(samples_.contains(name)) << match->str();
      ASSERT_TRUE(samples_.at(name).contains(label)) << match->str();
      std::istringstream values((*part)[3]);  // "a", or "a|b" in a regular expression
      for (std::string value; std::getline(values, value, '|');) {
        EXPECT_TRUE(samples_.at(name).at(label).contains(value)) << match->str();
      }
    }
  }
  EXPECT_GT(matchers, 0);
}

INSTANTIATE_TEST_SUITE_P(Deploy, ShippedQueries, ::testing::Values(kAlerts, kDashboard),
                         [](const auto& file) { return file.index == 0 ? "Alerts" : "Dashboard"; });

TEST_F(ShippedQueries, DashboardShowsEveryMetricOfOurs) {
  const auto dashboard = nlohmann::json::parse(Read(kDashboard));
  std::set<std::string> shown;
  for (const auto& panel : dashboard.at("panels")) {
    for (const auto& target : panel.value("targets", nlohmann::json::array())) {
      shown.merge(NamesIn(target.at("expr").get<std::string>()));
    }
  }
  for (const std::string& family : families_) {
    if (family == "postcall_build_info" || family.starts_with("process_")) continue;
    EXPECT_TRUE(shown.contains(family) || shown.contains(family + "_bucket") ||
                shown.contains(family + "_count"))
        << family;
  }
}

TEST_F(ShippedQueries, DashboardHasEachPanelOnce) {
  std::set<int> ids;
  std::set<std::pair<int, int>> places;
  const auto dashboard = nlohmann::json::parse(Read(kDashboard));
  EXPECT_FALSE(dashboard.at("uid").get<std::string>().empty());
  for (const auto& panel : dashboard.at("panels")) {
    EXPECT_TRUE(ids.insert(panel.at("id").get<int>()).second);
    const auto& place = panel.at("gridPos");
    EXPECT_TRUE(places.emplace(place.at("x").get<int>(), place.at("y").get<int>()).second);
    EXPECT_LE(place.at("x").get<int>() + place.at("w").get<int>(), 24);
  }
}

}  // namespace
}  // namespace postcall::metrics
