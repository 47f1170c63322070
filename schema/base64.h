// Base64 with the standard alphabet and padding (RFC 4648, 4). Any thread; pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postcall {

std::string EncodeBase64(std::string_view bytes);

// Strict: no value when a character is outside the alphabet (a line end too), padding is missing, or bits
// after the last byte are not zero.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace postcall
