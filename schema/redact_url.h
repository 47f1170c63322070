// The form of a URL that may be logged, stored and shown (CONTRACT §4, §6). Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postcall {

inline constexpr std::size_t kMaxRedactedUrlBytes = 2048;

// For any text, also one that is no URL: user info and fragment removed, query values replaced by `…`
// (`?a=1&b` becomes `?a=…&…`), control characters and malformed UTF-8 replaced. Where a password or a query
// value cannot be told from the rest (a raw '@' after the host, say), more is replaced by `…` rather than
// less. Valid UTF-8, no NUL, at most kMaxRedactedUrlBytes.
std::string RedactUrl(std::string_view text);

}  // namespace postcall
