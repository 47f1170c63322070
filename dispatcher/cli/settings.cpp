#include "dispatcher/cli/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "common/utf8.h"
#include "dispatcher/admin/listen_address.h"
#include "dispatcher/cli/read_file.h"
#include "dispatcher/cli/values.h"
#include "dispatcher/http/source_addresses.h"
#include "dispatcher/postgres/database_url.h"

namespace postcall::cli {
namespace {

using Values = std::vector<std::string>;
using Fault = std::optional<std::string>;
using Kind = Setting::Kind;

template <class Parsed, class Field>
Fault Set(const Result<Parsed>& parsed, Field& field) {
  if (!parsed) return parsed.error();
  field = Field(*parsed);
  return std::nullopt;
}

template <int Options::*kField, std::int64_t kLeast, std::int64_t kMost>
Fault SetWhole(Options& options, const Values& values) {
  return Set(ParseWhole(values.front(), kLeast, kMost), options.*kField);
}

template <std::int64_t Options::*kField, std::int64_t kLeast, std::int64_t kMost>
Fault SetBytes(Options& options, const Values& values) {
  return Set(ParseBytes(values.front(), kLeast, kMost), options.*kField);
}

template <bool Options::*kField>
Fault SetSwitch(Options& options, const Values& values) {
  return Set(ParseSwitch(values.front()), options.*kField);
}

template <std::vector<egress::Cidr> Options::*kField>
Fault SetRanges(Options& options, const Values& values) {
  (options.*kField).clear();
  for (const std::string& value : values) {
    const Result<egress::Cidr> range = egress::ParseCidr(value);
    if (!range) return "must be ranges such as 10.0.0.0/8 or 2001:db8::/32, one per value: " + range.error();
    (options.*kField).push_back(*range);
  }
  return std::nullopt;
}

template <class Word>
Fault SetWord(const std::string& text, Word& field,
              std::initializer_list<std::pair<std::string_view, Word>> words) {
  std::string known;
  for (const auto& [name, word] : words) {
    if (text == name) {
      field = word;
      return std::nullopt;
    }
    known.append(known.empty() ? "" : ", ").append(name);
  }
  return "must be one of " + known;
}

Fault SetDatabaseUrl(Options& options, const Values& values) {
  if (const Fault fault = postgres::FaultOfDatabaseUrl(values.front())) return "cannot be used: " + *fault;
  options.database_url = values.front();
  return std::nullopt;
}

Fault SetSlowShare(Options& options, const Values& values) {
  return Set(ParseShare(values.front()), options.slow_share);
}

Fault SetTimeout(Options& options, const Values& values) {
  return Set(ParseWhole(values.front(), 1, 10'000), options.timeout);
}

Fault SetSourceAddresses(Options& options, const Values& values) {
  options.source_addresses.clear();
  for (const std::string& value : values) {
    boost::system::error_code error;
    const auto source = boost::asio::ip::make_address(value, error);
    if (error) return "must be an address of this machine, such as 203.0.113.7, one per value";
    if (!http::SourceAddresses::CanBeAnswered(source))
      return "must be an address of this machine to which an endpoint can answer";
    if (std::ranges::any_of(options.source_addresses,
                            [&](const auto& other) { return other.is_v6() == source.is_v6(); }))
      return "may be given once for IPv4 and once for IPv6";
    options.source_addresses.push_back(source);
  }
  return std::nullopt;
}

Fault SetCaFile(Options& options, const Values& values) {
  const Result<std::string> bundle = ReadFile(values.front());
  if (!bundle) return "must be a file of PEM certificates that can be read: " + bundle.error();
  if (bundle->find("-----BEGIN ") == std::string::npos)
    return "must be a file of PEM certificates, but has none";
  options.ca_file = values.front();
  return std::nullopt;
}

Fault SetAdminListen(Options& options, const Values& values) {
  const auto address = admin::ParseListenAddress(values.front());
  if (!address) return "must be an address to listen on: " + address.error();
  options.admin_listen = values.front();
  return std::nullopt;
}

Fault SetAdminTokenFile(Options& options, const Values& values) {
  const Result<std::string> text = ReadFile(values.front());
  if (!text) return "must be a file that can be read: " + text.error();
  std::string token = text->substr(0, text->find('\n'));
  if (token.ends_with('\r')) token.pop_back();
  if (token.empty()) return "must be a file whose first line is the token, but that line is empty";
  if (!std::ranges::all_of(token, [](unsigned char c) { return std::isgraph(c); })) {
    return "must contain a token of visible ASCII characters without spaces";
  }
  options.admin_token = std::move(token);
  return std::nullopt;
}

Fault SetInstance(Options& options, const Values& values) {
  const std::string& label = values.front();
  const bool plain = std::ranges::none_of(label, [](unsigned char c) { return std::iscntrl(c); });
  if (label.size() > 255 || !plain || !IsUtf8(label)) {
    return "must be a label of at most 255 bytes of UTF-8 without control characters";
  }
  options.instance = label;
  return std::nullopt;
}

Fault SetLogLevel(Options& options, const Values& values) {
  return SetWord<log::Level>(values.front(), options.log_level,
                             {{"debug", log::Level::kDebug},
                              {"info", log::Level::kInfo},
                              {"warning", log::Level::kWarning},
                              {"error", log::Level::kError}});
}

Fault SetLogFormat(Options& options, const Values& values) {
  return SetWord<log::Format>(values.front(), options.log_format,
                              {{"text", log::Format::kText}, {"json", log::Format::kJson}});
}

std::vector<Setting> MakeSettings() {
  constexpr std::int64_t kKiB = 1LL << 10;
  constexpr std::int64_t kMiB = 1LL << 20;
  constexpr std::int64_t kTiB = 1LL << 40;
  const std::vector<Command> run = {Command::kRun};
  const std::vector<Command> migrate = {Command::kMigrate};
  const std::vector<Command> every = {Command::kMigrate, Command::kRun};
  return {
      {"database-url", "URL", "PostgreSQL, as a URL or KEY=VALUE words (default: libpq's own variables)",
       Kind::kSecret, every, false, SetDatabaseUrl},
      {"migrate", "", "bring the database to this version first", Kind::kSwitch, run, false,
       SetSwitch<&Options::migrate>},
      {"own-tables", "", "the platform has its own tables and defines the source views", Kind::kSwitch, every,
       false, SetSwitch<&Options::own_tables>},
      {"status", "",
       "print the versions of the database, change nothing; exit 1 while a migration is pending",
       Kind::kSwitch, migrate, true, SetSwitch<&Options::status>},
      {"max-in-flight", "N", "concurrent POSTs of this instance (default 2000)", Kind::kValue, run, false,
       SetWhole<&Options::max_in_flight, 1, 100'000>},
      {"max-in-flight-per-agent", "N", "concurrent POSTs for one agent (default 50)", Kind::kValue, run,
       false, SetWhole<&Options::max_in_flight_per_agent, 1, 100'000>},
      {"max-in-flight-per-endpoint", "N", "concurrent POSTs to one scheme, host and port (default 200)",
       Kind::kValue, run, false, SetWhole<&Options::max_in_flight_per_endpoint, 1, 100'000>},
      {"slow-share", "SHARE", "share of the slots that slow agents may use together, 0 to 1 (default 0.25)",
       Kind::kValue, run, false, SetSlowShare},
      {"max-body-memory", "SIZE", "bodies held in memory at once (default 512MiB)", Kind::kValue, run, false,
       SetBytes<&Options::max_body_memory, kMiB, kTiB>},
      {"network-threads", "N", "threads that send (default 1)", Kind::kValue, run, false,
       SetWhole<&Options::network_threads, 1, 64>},
      {"claim-sessions", "N", "database sessions that claim side by side (default 2)", Kind::kValue, run,
       false, SetWhole<&Options::claim_sessions, 1, 16>},
      {"timeout-ms", "MS", "limit of one delivery, 1 to 10000 (default 10000)", Kind::kValue, run, false,
       SetTimeout},
      {"egress-allow", "CIDR",
       "addresses that may be reached although they are not public; repeatable; commas in the variable",
       Kind::kRepeatable, run, false, SetRanges<&Options::egress_allow>},
      {"egress-deny", "CIDR",
       "addresses that may not be reached; beats --egress-allow; repeatable; commas in the variable",
       Kind::kRepeatable, run, false, SetRanges<&Options::egress_deny>},
      {"source-address", "ADDRESS",
       "local address that connections come from; repeatable, one IPv4, one IPv6; commas in the variable",
       Kind::kRepeatable, run, false, SetSourceAddresses},
      {"ca-file", "FILE", "PEM bundle of trusted certificates (default: the system's)", Kind::kValue, run,
       false, SetCaFile},
      {"admin-listen", "HOST:PORT", "where /metrics, /healthz and /readyz are (default 127.0.0.1:9464)",
       Kind::kValue, run, false, SetAdminListen},
      {"admin-token-file", "FILE",
       "not used yet: token for the operator's page on addresses other than loopback", Kind::kValue, run,
       false, SetAdminTokenFile},
      {"instance", "LABEL", "name of this instance in the delivery log (default: the host name)",
       Kind::kValue, run, false, SetInstance},
      {"retention-days", "DAYS", "the delivery log is kept this long, 1 to 3650 (default 30)", Kind::kValue,
       run, false, SetWhole<&Options::retention_days, 1, 3650>},
      {"ledger-days", "DAYS",
       "the ledger and the declined calls are kept this long, 1 to 3650 (default 400); not below "
       "--retention-days",
       Kind::kValue, run, false, SetWhole<&Options::ledger_days, 1, 3650>},
      {"response-body-bytes", "SIZE", "bytes of each response kept in the log, 0 to 64KiB (default 4096)",
       Kind::kValue, run, false, SetBytes<&Options::response_body_bytes, 0, 64 * kKiB>},
      {"log-level", "LEVEL", "debug, info, warning or error (default info)", Kind::kValue, every, false,
       SetLogLevel},
      {"log-format", "FORMAT", "text or json, one line per event, on standard error (default text)",
       Kind::kValue, every, false, SetLogFormat},
  };
}

}  // namespace

std::span<const Setting> Settings() {
  static const std::vector<Setting> settings = MakeSettings();
  return settings;
}

std::string VariableOf(std::string_view name) {
  std::string variable(kVariablePrefix);
  for (const char c : name) {
    variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return variable;
}

}  // namespace postcall::cli
