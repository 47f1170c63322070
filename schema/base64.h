// Base64 with the standard alphabet and padding (RFC 4648, 4). Any thread; pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postcall {

std::string EncodeBase64(std::string_view bytes);

// Strict: none for a character outside the alphabet (line ends too), missing padding, or bits after the last
// byte that are not zero.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace postcall
