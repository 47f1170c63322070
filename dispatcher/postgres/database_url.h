// Checks --database-url, and makes libpq's connection words from it, with the time limits that a service
// needs. Any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace postcall::postgres {

// Returns one sentence when `url` cannot be used. The sentence quotes no part of the URL: libpq reads a
// password that is not percent-encoded as a host, a port or a database, and prints these in its own messages.
std::optional<std::string> FaultOfDatabaseUrl(const std::string& url);

// How long connecting may take for all hosts of the URL together; nothing can interrupt it.
inline constexpr std::chrono::seconds kConnectLimit{5};

// The shortest limit that libpq accepts: 2 s for each host of `url`, or of the environment.
std::chrono::seconds ShortestConnect(const std::string& url);

// The words for libpq: those of `url` (which has no fault), keepalives unless `url` sets them, UTF-8, and a
// limit for each host, so that all hosts together take at most `within` or ShortestConnect, whichever is
// longer. A shorter limit of `url` or of the environment is kept, a longer one is not. libpq applies the
// limit to each address: a name with several addresses that do not answer takes that much longer.
std::string ConnectionWords(const std::string& url, const std::string& application_name,
                            std::chrono::seconds within = kConnectLimit);

// Where `url` leads, without user name and password: "db.internal:5432/voice", a list when it names several
// hosts, "service voice" when a service file decides.
std::string PlaceOf(const std::string& url);

// "host:port/database", with an IPv6 address in brackets, or a folder for a Unix socket.
std::string Place(const std::string& host, const std::string& port, const std::string& database);

// `message` with the password of `url`, or of the environment, replaced wherever it occurs.
std::string WithoutPassword(std::string message, const std::string& url);

}  // namespace postcall::postgres
