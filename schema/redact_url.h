// The form of a URL that may be logged, stored and shown (CONTRACT §4, §6). Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postcall {

inline constexpr std::size_t kMaxRedactedUrlBytes = 2048;

// Works for any text, also for one that is not a URL: removes user info and fragment, replaces query values
// by `…` (`?a=1&b` becomes `?a=…&…`), replaces control characters and malformed UTF-8. When it is not clear
// which part is a password or a query value (for example after an unencoded '@'), it replaces more by `…`,
// not less. The result is valid UTF-8 without NUL, of at most kMaxRedactedUrlBytes.
std::string RedactUrl(std::string_view text);

}  // namespace postcall
