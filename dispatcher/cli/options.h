// The settings of every command (CONTRACT §5) and how they are found: flag beats environment variable
// (POSTCALL_ + upper case) beats TOML file (--config) beats default. Main thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/log.h"
#include "dispatcher/egress/cidr.h"

namespace postcall::cli {

struct Options {
  std::string
      database_url;  // empty: libpq's own variables and defaults. Never print it: it may hold a password
  int max_in_flight = 2000;
  int max_in_flight_per_agent = 50;
  int max_in_flight_per_endpoint = 200;
  double slow_share = 0.25;
  std::int64_t max_body_memory = 512LL << 20;  // bytes
  int network_threads = 1;
  std::chrono::milliseconds timeout{10'000};
  std::vector<egress::Cidr> egress_allow;
  std::vector<egress::Cidr> egress_deny;
  std::string ca_file;  // can be read; empty: the system's bundle
  std::string admin_listen = "127.0.0.1:9464";
  std::optional<std::string> admin_token;  // what --admin-token-file holds
  std::string instance;                    // the host name unless given
  int retention_days = 30;
  std::int64_t response_body_bytes = 4096;
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;

  bool migrate = false;     // run --migrate
  bool own_tables = false;  // migrate --own-tables, run --migrate --own-tables
  bool status = false;      // migrate --status
};

enum class Command { kMigrate, kRun };

// The value of an environment variable; none when it is not set. Set but empty counts as not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// A command was given and its settings are good.
struct Invocation {
  Command command;
  Options options;
};

// There is nothing to run: help or the version was asked for (code 0, text for standard output), or the usage
// or the configuration is bad (code 2, one line for standard error that names the option and the mend).
struct Leave {
  int code;
  std::string text;
};

// `arguments` without the program's name. Reads the files that the settings name.
std::variant<Invocation, Leave> ParseCommandLine(const std::vector<std::string>& arguments,
                                                 const Environment& environment);

}  // namespace postcall::cli
