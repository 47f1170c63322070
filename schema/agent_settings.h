// The agent settings that the dispatcher reads: the URL to POST to, the headers to add, the secrets to sign
// with (CONTRACT §3, §7). Any thread; value types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schema/url.h"

namespace postcall {

struct Header {
  std::string name;
  std::string value;  // may be empty; no spaces or tabs at its ends

  friend bool operator==(const Header&, const Header&) = default;
};

// A signing key, decoded. A type of its own, so that it cannot be passed where text is logged.
struct Secret {
  std::string key;  // raw bytes, never empty
};

// Usable settings: a POST can be sent with them.
struct Target {
  Url url;
  std::string url_for_log;      // RedactUrl of the text in the settings
  std::vector<Header> headers;  // the agent's; HTTP permits them, and the dispatcher sets none of them itself
  std::vector<Secret> secrets;  // in the order of the settings; empty: not signed
};

// `postCall` is missing, null or empty: nothing to send (outcome `skipped`).
struct NoTarget {};

// `postCall`, `headers` or `secret` cannot be used (outcome `invalid_settings`). Nothing is sent, because a
// POST without the configured signature or headers would be wrong.
struct InvalidTarget {
  std::string url_for_log;  // empty when `postCall` is not a string
  std::string error;        // one sentence; quotes no value
};

using AgentSettings = std::variant<NoTarget, InvalidTarget, Target>;

// `json` is the text of the settings column; an empty text counts as `{}`. Never fails: any text, JSON or
// not, gives one of the three results.
AgentSettings ParseAgentSettings(std::string_view json);

// The limit for "postCall", "headers" and "secret" together, as JSON text: one agent's settings must not fill
// the memory that the claims of all agents share. All usable settings fit: a URL of 8 KiB, 64 KiB of headers
// and sixteen secrets of 4 KiB, with each quote escaped.
inline constexpr std::int64_t kMaxAgentSettingsBytes = 262'144;

// The result for settings of `bytes` bytes, which is more than kMaxAgentSettingsBytes, so they are not read.
InvalidTarget TooLargeAgentSettings(std::int64_t bytes);

}  // namespace postcall
