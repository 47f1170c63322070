#include "dispatcher/postgres/database_url.h"

#include <libpq-fe.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/handle.h"

namespace postcall::postgres {
namespace {

struct Word {
  std::string keyword;
  std::string value;
};

using Options = Handle<PQconninfoOption, PQconninfoFree>;

// Returns no value when libpq cannot read the text. libpq's message is not used, because it quotes the text.
std::optional<std::vector<Word>> Parse(const std::string& url) {
  char* message = nullptr;
  const Options options(PQconninfoParse(url.c_str(), &message));
  PQfreemem(message);
  if (!options) return std::nullopt;
  std::vector<Word> words;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) words.push_back({option->keyword, option->val});
  }
  return words;
}

const std::string* Find(const std::vector<Word>& words, std::string_view keyword) {
  const auto word = std::ranges::find(words, keyword, &Word::keyword);
  return word == words.end() ? nullptr : &word->value;
}

bool IsUri(std::string_view url) {
  return url.starts_with("postgresql://") || url.starts_with("postgres://");
}

// A literal @, / or ? in the password ends it early, and libpq reads the rest as something else.
bool PasswordMayBeSplit(std::string_view uri) {
  const std::string_view behind_scheme = uri.substr(uri.find("://") + 3);
  const std::size_t authority_end = std::min(behind_scheme.find_first_of("/?"), behind_scheme.size());
  const std::string_view authority = behind_scheme.substr(0, authority_end);
  return std::ranges::count(authority, '@') > 1 ||
         behind_scheme.substr(authority_end).find('@') != std::string_view::npos;
}

// libpq reads 1 s as 2 s.
constexpr std::chrono::seconds kShortestAHost{2};

// The value that libpq would use: that of the URL, otherwise that of the environment variable.
std::string ValueOf(const std::vector<Word>& words, std::string_view keyword, const char* variable) {
  if (const std::string* value = Find(words, keyword)) return *value;
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

std::int64_t CountParts(const std::string& list) { return std::ranges::count(list, ',') + 1; }

std::int64_t CountHosts(const std::vector<Word>& words) {
  std::string hosts = ValueOf(words, "hostaddr", "PGHOSTADDR");
  if (hosts.empty()) hosts = ValueOf(words, "host", "PGHOST");
  return CountParts(hosts);
}

std::chrono::seconds LimitOfAHost(const std::vector<Word>& words, std::chrono::seconds within) {
  std::chrono::seconds limit = within / CountHosts(words);
  const std::string given = ValueOf(words, "connect_timeout", "PGCONNECT_TIMEOUT");
  std::int64_t seconds = 0;
  std::from_chars(given.data(), given.data() + given.size(), seconds);
  if (seconds > 0) limit = std::min(limit, std::chrono::seconds(seconds));  // otherwise: no limit is given
  return std::max(limit, kShortestAHost);
}

bool IsPortList(std::string_view ports) {
  return std::ranges::all_of(ports, [](char c) { return (c >= '0' && c <= '9') || c == ','; });
}

bool IsInteger(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

// An empty one is the default.
bool IsPort(const std::string& port) {
  return port.empty() || (IsInteger(port) && std::stoi(port) >= 1 && std::stoi(port) <= 65535);
}

// libpq accepts only some values of these keywords, and checks that only when it connects.
struct Choice {
  std::string_view keyword;
  std::string_view values;
};
constexpr std::array kChoices = {
    Choice{"sslmode", "disable, allow, prefer, require, verify-ca, verify-full"},
    Choice{"channel_binding", "disable, prefer, require"},
    Choice{"gssencmode", "disable, prefer, require"},
    Choice{"target_session_attrs", "any, read-write, read-only, primary, standby, prefer-standby"},
};
constexpr std::array<std::string_view, 6> kIntegers = {
    "connect_timeout",     "keepalives",       "keepalives_idle",
    "keepalives_interval", "keepalives_count", "tcp_user_timeout",
};

bool IsOneOf(std::string_view values, const std::string& value) {
  return (", " + std::string(values) + ", ").find(", " + value + ", ") != std::string::npos;
}

std::optional<std::string> FaultOfPorts(const std::string& list, std::int64_t hosts) {
  std::istringstream ports(list);
  for (std::string port; std::getline(ports, port, ',');) {
    if (!IsPort(port)) return "the port of the database URL must be from 1 to 65535";
  }
  if (const std::int64_t count = CountParts(list); count != 1 && count != hosts)
    return "the database URL must have one port, or one for each host";
  return std::nullopt;
}

std::optional<std::string> FaultOfValues(const std::vector<Word>& words) {
  for (const auto& [keyword, values] : kChoices) {
    const std::string* value = Find(words, keyword);
    if (value != nullptr && !IsOneOf(values, *value)) {
      return std::string(keyword) + " of the database URL must be one of " + std::string(values);
    }
  }
  for (const std::string_view keyword : kIntegers) {
    const std::string* value = Find(words, keyword);
    if (value != nullptr && !IsInteger(*value))
      return std::string(keyword) + " of the database URL must be a whole number";
  }
  const std::string* ports = Find(words, "port");
  return ports == nullptr ? std::nullopt : FaultOfPorts(*ports, CountHosts(words));
}

void Append(std::string& words, const std::string& keyword, std::string_view value) {
  if (!words.empty()) words += ' ';
  words += keyword;
  words += "='";
  for (const char c : value) {
    if (c == '\'' || c == '\\') words += '\\';
    words += c;
  }
  words += '\'';
}

void ReplaceAll(std::string& text, const std::string& what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

std::optional<std::string> FaultOfDatabaseUrl(const std::string& url) {
  if (url.empty()) return std::nullopt;
  if (IsUri(url) && PasswordMayBeSplit(url)) {
    return "the database URL has a user name, password or database name with a literal @, / or ?: "
           "write them as %40, %2F and %3F";
  }
  const std::optional<std::vector<Word>> words = Parse(url);
  if (!words) {
    return "the database URL cannot be read: use postgresql://USER@HOST:PORT/DATABASE, with special "
           "characters "
           "of the user name and password percent-encoded, or KEY=VALUE words as libpq accepts them";
  }
  const std::string* port = Find(*words, "port");
  if (port != nullptr && !IsPortList(*port)) {
    return "the port of the database URL is not a number; a colon in the password is written as %3A";
  }
  return FaultOfValues(*words);
}

std::chrono::seconds ShortestConnect(const std::string& url) {
  return kShortestAHost * CountHosts(Parse(url).value_or(std::vector<Word>{}));
}

std::string ConnectionWords(const std::string& url, const std::string& application_name,
                            std::chrono::seconds within) {
  std::vector<Word> given = Parse(url).value_or(std::vector<Word>{});
  std::string words;
  for (const Word& word : given) {
    if (word.keyword != "client_encoding" && word.keyword != "connect_timeout")
      Append(words, word.keyword, word.value);
  }
  const auto unless_given = [&](const std::string& keyword, std::string_view value) {
    if (Find(given, keyword) == nullptr) Append(words, keyword, value);
  };
  Append(words, "connect_timeout", std::to_string(LimitOfAHost(given, within).count()));
  // A server that vanishes silently is noticed within 20 s: by keepalives while we wait for an answer, by
  // tcp_user_timeout while our own bytes wait to be acknowledged.
  unless_given("keepalives_idle", "5");
  unless_given("keepalives_interval", "5");
  unless_given("keepalives_count", "3");
  unless_given("tcp_user_timeout", "20000");
  unless_given("fallback_application_name", application_name);
  Append(words, "client_encoding", "UTF8");  // always, because we read and write UTF-8
  return words;
}

std::string PlaceOf(const std::string& url) {
  std::vector<Word> words = Parse(url).value_or(std::vector<Word>{});
  if (const std::string service = ValueOf(words, "service", "PGSERVICE"); !service.empty()) {
    return "service " + service;
  }
  const Options defaults(PQconndefaults());
  for (const PQconninfoOption* option = defaults.get(); option != nullptr && option->keyword != nullptr;
       ++option) {
    if (option->val != nullptr && Find(words, option->keyword) == nullptr) {
      words.push_back({option->keyword, option->val});
    }
  }
  const auto value_of = [&words](std::string_view keyword) {
    const std::string* value = Find(words, keyword);
    return value == nullptr ? "" : *value;
  };
  std::string host = value_of("host");
  if (host.empty()) host = value_of("hostaddr");
  if (host.empty()) host = "local socket";
  const std::string database = value_of("dbname");
  return Place(host, value_of("port"), database.empty() ? value_of("user") : database);
}

std::string Place(const std::string& host, const std::string& port, const std::string& database) {
  const bool is_ipv6 = host.find(':') != std::string::npos && host.find(',') == std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + port + "/" + database;
}

std::string WithoutPassword(std::string message, const std::string& url) {
  const std::optional<std::vector<Word>> words = Parse(url);
  if (words) {
    const std::string* password = Find(*words, "password");
    if (password != nullptr && !password->empty()) ReplaceAll(message, *password, "…");
  }
  const char* password = std::getenv("PGPASSWORD");
  if (password != nullptr && *password != '\0') ReplaceAll(message, password, "…");
  return message;
}

}  // namespace postcall::postgres
