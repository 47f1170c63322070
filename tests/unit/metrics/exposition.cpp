#include "tests/unit/metrics/exposition.h"

#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace postcall::metrics {
namespace {

std::map<std::string, std::string> ParseLabels(const std::string& text) {
  static const std::regex kLabel(R"re(([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)")re");
  std::map<std::string, std::string> labels;
  auto at = text.cbegin();
  while (at != text.cend()) {
    std::smatch match;
    if (!std::regex_search(at, text.cend(), match, kLabel, std::regex_constants::match_continuous)) {
      throw std::runtime_error("bad label");
    }
    if (!labels.emplace(match[1], match[2]).second) throw std::runtime_error("label twice");
    at = match[0].second;
    if (at != text.cend() && *at == ',') ++at;
  }
  return labels;
}

double ParseValue(const std::string& text) {
  std::size_t used = 0;
  const double value = std::stod(text, &used);  // also reads +Inf and NaN
  if (used != text.size()) throw std::runtime_error("bad number");
  return value;
}

std::string FamilyOf(const std::string& sample, const Exposition& exposition) {
  if (exposition.contains(sample)) return sample;
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    if (!sample.ends_with(suffix)) continue;
    const std::string base = sample.substr(0, sample.size() - std::string(suffix).size());
    const auto family = exposition.find(base);
    if (family != exposition.end() && family->second.type == "histogram") return base;
  }
  throw std::runtime_error("sample without HELP and TYPE");
}

}  // namespace

Exposition ParseExposition(const std::string& text) {
  static const std::regex kHelp(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*))");
  static const std::regex kType(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
  static const std::regex kSample(R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+))");
  if (!text.ends_with('\n')) throw std::runtime_error("the last line has no end");

  Exposition exposition;
  std::string current;
  std::set<std::pair<std::string, std::map<std::string, std::string>>> seen;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    try {
      std::smatch match;
      if (std::regex_match(line, match, kHelp)) {
        current = match[1];
        if (!exposition.emplace(current, ExposedFamily{match[2], "", {}}).second) {
          throw std::runtime_error("family twice");
        }
      } else if (std::regex_match(line, match, kType)) {
        if (match[1] != current || !exposition[current].type.empty()) throw std::runtime_error("TYPE astray");
        exposition[current].type = match[2];
      } else if (std::regex_match(line, match, kSample)) {
        Sample sample{match[1], ParseLabels(match[2]), ParseValue(match[3])};
        if (FamilyOf(sample.name, exposition) != current) throw std::runtime_error("sample astray");
        if (exposition[current].type.empty()) throw std::runtime_error("sample before TYPE");
        if (!seen.emplace(sample.name, sample.labels).second) throw std::runtime_error("series twice");
        exposition[current].samples.push_back(std::move(sample));
      } else {
        throw std::runtime_error("neither HELP, TYPE nor sample");
      }
    } catch (const std::exception& error) {
      throw std::runtime_error(std::string(error.what()) + ": " + line);
    }
  }
  return exposition;
}

double ValueOf(const Exposition& exposition, const std::string& name,
               const std::map<std::string, std::string>& labels) {
  for (const Sample& sample : exposition.at(FamilyOf(name, exposition)).samples) {
    if (sample.name == name && sample.labels == labels) return sample.value;
  }
  throw std::out_of_range("no such series of " + name);
}

}  // namespace postcall::metrics
