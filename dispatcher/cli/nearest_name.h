// The known name that an unknown name probably means. Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace postcall::cli {

// The nearest name of `known`, which are written like options (lower case, words joined by '-'). In `typed`,
// upper case and '_' make no difference. No value when no known name is near: more than half of the letters
// differ, and neither name contains the other.
std::optional<std::string> NearestName(std::string_view typed, std::span<const std::string> known);

}  // namespace postcall::cli
