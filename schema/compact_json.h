// JSON text without insignificant white space (CONTRACT §2, payload). Any thread; pure.
#pragma once

#include <string>
#include <string_view>

namespace postcall {

// Appends `json` without the white space between its tokens. Strings, numbers and their spelling stay as they
// are. `json` is valid JSON, as the type jsonb prints it; its strings may contain malformed UTF-8.
void AppendCompactJson(std::string& out, std::string_view json);

}  // namespace postcall
