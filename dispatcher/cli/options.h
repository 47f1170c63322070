// The settings of every command (CONTRACT §5) and how they are found: flag beats environment variable
// (POSTCALL_ + upper case) beats TOML file (--config) beats default. Main thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/log.h"
#include "dispatcher/cli/environment.h"
#include "dispatcher/cli/exit_code.h"
#include "dispatcher/egress/cidr.h"

namespace postcall::cli {

struct Options {
  // Empty: libpq's own variables and defaults. Never print it: it may contain a password.
  std::string database_url;
  int max_in_flight = 2000;
  int max_in_flight_per_agent = 50;
  int max_in_flight_per_endpoint = 200;
  double slow_share = 0.25;
  std::int64_t max_body_memory = 512LL << 20;  // bytes
  int network_threads = 1;
  int claim_sessions = 2;
  std::chrono::milliseconds timeout{10'000};
  std::vector<egress::Cidr> egress_allow;
  std::vector<egress::Cidr> egress_deny;
  std::vector<boost::asio::ip::address> source_addresses;  // of this machine; at most one of each family
  std::string ca_file;  // a file that can be read; empty: the system's bundle
  std::string admin_listen = "127.0.0.1:9464";
  std::optional<std::string> admin_token;  // from --admin-token-file; not used yet
  std::string instance;                    // the host name unless given
  int retention_days = 30;
  int ledger_days = 400;  // not below retention_days
  std::int64_t response_body_bytes = 4096;
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;

  bool migrate = false;     // run --migrate
  bool own_tables = false;  // migrate --own-tables, run --migrate --own-tables
  bool status = false;      // migrate --status

  friend bool operator==(const Options&, const Options&) = default;
};

enum class Command { kMigrate, kRun };

// A command was given and its settings are good.
struct Invocation {
  Command command;
  Options options;
};

// There is nothing to run. Either help or the version was asked for (kDone, text for standard output), or the
// usage or the configuration is bad (kBadUsage, one line for standard error with the option and what to do).
struct Leave {
  ExitCode code;
  std::string text;
};

// `arguments` without the program's name. Reads the files that the settings name.
std::variant<Invocation, Leave> ParseCommandLine(const std::vector<std::string>& arguments,
                                                 const Environment& environment);

}  // namespace postcall::cli
