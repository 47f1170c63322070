#include "tests/support/plan_log.h"

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace postcall::test {
namespace {

using Json = nlohmann::json;

// webhook_deliveries_20261127_pkey: webhook_deliveries_pkey
std::string WithoutDay(const std::string& name) {
  static const std::regex day("^webhook_deliveries_[0-9]{8}");
  return std::regex_replace(name, day, "webhook_deliveries");
}

void AddNodes(const Json& node, std::set<std::string>& nodes) {
  const std::string type = node.at("Node Type");
  if (node.contains("Index Name")) {
    nodes.insert(type + ' ' + WithoutDay(node["Index Name"]));
  } else if (node.contains("Relation Name") && type != "ModifyTable" && type != "Bitmap Heap Scan") {
    nodes.insert(type + ' ' + WithoutDay(node["Relation Name"]));
  } else if (type.ends_with("Join") || type.ends_with("Loop") || type.ends_with("Sort")) {
    nodes.insert(type);
  }
  if (node.contains("Plans")) {
    for (const Json& child : node["Plans"]) AddNodes(child, nodes);
  }
}

}  // namespace

bool PlanLog::IsThere(const PrivatePostgres& postgres) {
  try {
    postgres.Execute("LOAD 'auto_explain'");
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

PlanLog::PlanLog(const PrivatePostgres& postgres, const std::string& database)
    : postgres_(postgres), read_(postgres.log().size()) {
  for (const std::string setting :
       {"session_preload_libraries = auto_explain", "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on", "auto_explain.log_format = json"}) {
    postgres.Execute("ALTER DATABASE " + database + " SET " + setting);
  }
}

std::vector<UsedPlan> PlanLog::Read() {
  const std::string log = postgres_.log();
  std::istringstream lines(log.substr(read_));
  read_ = log.size();
  std::vector<UsedPlan> plans;
  std::string line, json;
  const auto end_plan = [&] {
    if (json.empty()) return;
    const Json plan = Json::parse(json);
    UsedPlan used{.statement = plan.at("Query Text"), .nodes = {}};
    AddNodes(plan.at("Plan"), used.nodes);
    plans.push_back(std::move(used));
    json.clear();
  };
  bool in_plan = false;
  while (std::getline(lines, line)) {
    if (in_plan && line.starts_with('\t')) {
      json += line.substr(1) + '\n';
      continue;
    }
    end_plan();
    in_plan = line.ends_with("plan:");
  }
  end_plan();
  return plans;
}

}  // namespace postcall::test
