// What is asked of libpq, made of --database-url and of what a service needs that waits for nothing for ever.
// The room's own; any thread.
#pragma once

#include <chrono>
#include <string>

namespace postcall::store {

// How long connecting may take, all hosts of the URL together; nothing can cut it short.
inline constexpr std::chrono::seconds kConnectLimit{5};

// The shortest that libpq can be told: 2 s for each host of `url`, or of the environment.
std::chrono::seconds ShortestConnect(const std::string& url);

// The words for libpq: those of `url` (which has no fault), keepalives unless it names them itself, UTF-8,
// and a limit for each host, so that all together take `within` at most, or as long as ShortestConnect. A
// shorter limit of `url` or of the environment holds, a longer one does not. libpq's limit is for each
// address: a name that has several, none of which answers, takes that much longer.
std::string ConnectionWords(const std::string& url, const std::string& application_name,
                            std::chrono::seconds within = kConnectLimit);

// `message` with the password of `url`, or of the environment, replaced wherever it stands.
std::string WithoutPassword(std::string message, const std::string& url);

}  // namespace postcall::store
