// What is asked of libpq, made of --database-url and of what a service needs that waits for nothing for ever.
// The room's own; any thread.
#pragma once

#include <chrono>
#include <string>

namespace postcall::store {

// libpq's limit as a connection is made, unless `url` or the environment has another; nothing can cut it
// short.
inline constexpr std::chrono::seconds kConnectLimit{5};

// The words for libpq: those of `url` (which has no fault), and limits of time and UTF-8 unless it names them
// itself.
std::string ConnectionWords(const std::string& url, const std::string& application_name);

// `message` with the password of `url`, or of the environment, replaced wherever it stands.
std::string WithoutPassword(std::string message, const std::string& url);

}  // namespace postcall::store
