// An agent's settings, as far as the dispatcher reads them: where to POST, with which headers, signed with
// which secrets (CONTRACT §3, §7). Any thread; value types.
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
  std::string value;  // may be empty; no blanks at its ends

  friend bool operator==(const Header&, const Header&) = default;
};

// A signing key, decoded. A type of its own, so that it cannot be passed where text is logged.
struct Secret {
  std::string key;  // raw bytes, never empty
};

// Ready to be sent to.
struct Target {
  Url url;
  std::string url_for_log;      // RedactUrl of the text in the settings
  std::vector<Header> headers;  // the agent's own; names and values that HTTP permits and that are not ours
  std::vector<Secret> secrets;  // in the order of the settings; empty: not signed
};

// `postCall` is missing, null or empty: nothing to send (outcome `skipped`).
struct NoTarget {};

// `postCall`, `headers` or `secret` cannot be used (outcome `invalid_url`). Nothing is sent, least of all
// without the signature or the headers that were asked for.
struct InvalidTarget {
  std::string url_for_log;  // empty when `postCall` is no text
  std::string error;        // one sentence; quotes no value
};

using AgentSettings = std::variant<NoTarget, InvalidTarget, Target>;

// `json` is the text of the settings column; an empty text counts as `{}`. Total: any JSON, and any text that
// is none, gives one of the three.
AgentSettings ParseAgentSettings(std::string_view json);

// Of "postCall", "headers" and "secret" together, as JSON text. What is usable always fits: a URL of 8 KiB,
// 64 KiB of headers and sixteen secrets of 4 KiB, each quote escaped. One agent's settings must not fill the
// memory that the claims of all agents share.
inline constexpr std::int64_t kMaxAgentSettingsBytes = 262'144;

// What becomes of settings of which so many bytes would have to be read, more than kMaxAgentSettingsBytes.
InvalidTarget TooLargeAgentSettings(std::int64_t bytes);

}  // namespace postcall
