#include "schema/compact_json.h"

#include <cstddef>

namespace postcall {
namespace {

// `at` is behind the opening quote. Returns the position behind the closing one, or behind the end.
std::size_t EndOfString(std::string_view json, std::size_t at) {
  while (at < json.size() && json[at] != '"') at += json[at] == '\\' ? 2 : 1;
  return at + 1;
}

}  // namespace

void AppendCompactJson(std::string& out, std::string_view json) {
  std::size_t copied = 0;  // what is before this is in `out`, or is white space
  std::size_t at = 0;
  while (at < json.size()) {
    switch (json[at]) {
      case '"':
        at = EndOfString(json, at + 1);
        break;
      case ' ':
      case '\t':
      case '\n':
      case '\r':
        out.append(json, copied, at - copied);
        copied = ++at;
        break;
      default:
        ++at;
    }
  }
  out.append(json, copied);
}

}  // namespace postcall
