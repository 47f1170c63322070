#include "schema/agent_settings.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/ascii.h"
#include "common/utf8.h"
#include "schema/base64.h"
#include "schema/redact_url.h"

namespace postcall {
namespace {

using Json = nlohmann::json;

// Most servers refuse headers much shorter than this. A request over libcurl's limit of 1 MB would look like
// a lack of memory.
constexpr std::size_t kMaxHeaderBytes = 65536;
constexpr std::size_t kMaxHeaders = 100;
constexpr std::size_t kMaxSecrets = 16;
constexpr std::size_t kMaxSecretBytes = 4096;
constexpr std::size_t kMaxShownNameBytes = 64;

// Replaces each number by 0. The dispatcher reads no number here, but jsonb can hold one beyond the range of
// a double, and the parser would fail on it.
std::string WithoutNumbers(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\' && i + 1 < json.size()) {
      out += c;
      out += json[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (!in_string && (c == '-' || (c >= '0' && c <= '9'))) {
      out += '0';
      i = std::min(json.find_first_not_of("0123456789+-.eE", i), json.size()) - 1;
      continue;
    }
    out += c;
  }
  return out;
}

// The member; null when `json` is not an object, has no such member, or has JSON null there.
const Json* Member(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

// RFC 9110, 5.6.2.
bool IsToken(std::string_view name) {
  return !name.empty() && name.size() <= kMaxHeaderBytes &&
         name.find_first_not_of(
             "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
             std::string_view::npos;
}

// RFC 9110, 5.5: any byte except control characters. A tab is allowed.
bool IsFieldValue(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7F;
  });
}

// Spaces and tabs at both ends do not belong to a value (RFC 9110, 5.5), and libcurl drops a header whose
// value has only these.
std::string_view Trimmed(std::string_view value) {
  constexpr std::string_view kBlanks = " \t";
  value.remove_prefix(std::min(value.find_first_not_of(kBlanks), value.size()));
  return value.substr(0, value.find_last_not_of(kBlanks) + 1);
}

// Whether the dispatcher alone sets this header (CONTRACT §7).
bool IsOurs(std::string_view name) {
  constexpr std::array<std::string_view, 9> kNames = {
      "host",   "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect",
      "cookie", "user-agent"};
  constexpr std::array<std::string_view, 4> kPrefixes = {"content-", "accept", "proxy-", "webhook-"};
  const std::string lower = ToLower(name);
  return std::find(kNames.begin(), kNames.end(), lower) != kNames.end() ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&lower](std::string_view prefix) { return lower.starts_with(prefix); });
}

// How an error names a header. The name is a token, so it cannot contain a line end.
std::string Named(std::string_view name) {
  std::string text = "the header " + std::string(name.substr(0, kMaxShownNameBytes));
  if (name.size() > kMaxShownNameBytes) text.append(kEllipsis);
  return text + " in the agent's settings";
}

std::optional<Error> ReadHeaders(const Json& headers, Target& target) {
  if (!headers.is_object()) {
    return Error{R"("headers" in the agent's settings is not an object: write {"Name": "value"})"};
  }
  if (headers.size() > kMaxHeaders) {
    return Error{"there are more than 100 headers in the agent's settings: remove some"};
  }
  std::size_t bytes = 0;
  for (const auto& [name, json] : headers.items()) {
    if (!IsToken(name)) {
      return Error{
          "a header name in the agent's settings is one that HTTP forbids: use letters, digits and '-'"};
    }
    if (IsOurs(name)) return Error{Named(name) + " is set by the dispatcher alone: remove it"};
    if (target.url.has_credentials && EqualInAnyCase(name, "authorization")) {
      return Error{Named(name) + " conflicts with the user name or password in the URL: remove one of them"};
    }
    if (!json.is_string()) return Error{Named(name) + " is not a string: write its value in quotes"};
    const std::string_view value = Trimmed(json.get_ref<const std::string&>());
    if (!IsFieldValue(value)) {
      return Error{Named(name) + " has a value that HTTP forbids: remove line ends and control characters"};
    }
    bytes += name.size() + value.size() + std::string_view(": \r\n").size();
    if (bytes > kMaxHeaderBytes) {
      return Error{"the headers in the agent's settings are longer than 65,536 bytes together: shorten them"};
    }
    target.headers.push_back({name, std::string(value)});
  }
  return std::nullopt;
}

std::optional<Error> ReadSecret(const Json& json, Target& target) {
  if (!json.is_string()) {
    return Error{"a secret in the agent's settings is not a string: write whsec_ and base64"};
  }
  std::string_view text = json.get_ref<const std::string&>();
  if (text.size() > kMaxSecretBytes) {
    return Error{"a secret in the agent's settings is longer than 4,096 bytes: use 24 to 64 random bytes"};
  }
  constexpr std::string_view kPrefix = "whsec_";
  if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
  if (text.empty())
    return Error{"a secret in the agent's settings is empty: write whsec_ and base64, or remove it"};
  std::optional<std::string> key = DecodeBase64(text);
  if (!key) {
    return Error{"a secret in the agent's settings is not base64 with padding: write whsec_ and base64"};
  }
  target.secrets.push_back({std::move(*key)});
  return std::nullopt;
}

std::optional<Error> ReadSecrets(const Json& json, Target& target) {
  if (!json.is_array()) return ReadSecret(json, target);
  if (json.empty())
    return Error{"the list of secrets in the agent's settings is empty: write one, or remove it"};
  if (json.size() > kMaxSecrets) {
    return Error{"the list of secrets in the agent's settings has more than 16: remove the old ones"};
  }
  for (const Json& secret : json) {
    if (auto error = ReadSecret(secret, target)) return error;
  }
  return std::nullopt;
}

}  // namespace

AgentSettings ParseAgentSettings(std::string_view json) {
  if (json.empty()) return NoTarget{};
  const Json settings = Json::parse(WithoutNumbers(json), nullptr, /*allow_exceptions=*/false);
  if (settings.is_discarded()) return InvalidTarget{"", "the agent's settings are not JSON: correct them"};
  const Json* webhooks = Member(settings, "webhooks");
  const Json* post_call = webhooks == nullptr ? nullptr : Member(*webhooks, "postCall");
  if (post_call == nullptr) return NoTarget{};
  if (!post_call->is_string()) {
    return InvalidTarget{"", R"("postCall" in the agent's settings is not a string: write a URL in quotes)"};
  }
  const auto& text = post_call->get_ref<const std::string&>();
  if (text.empty()) return NoTarget{};

  std::string url_for_log = RedactUrl(text);
  Result<Url> url = ParseUrl(text);
  if (!url) return InvalidTarget{std::move(url_for_log), url.error()};
  Target target{std::move(*url), std::move(url_for_log), {}, {}};
  const auto refuse = [&target](Error& error) {
    return InvalidTarget{std::move(target.url_for_log), std::move(error.message)};
  };
  if (const Json* headers = Member(*webhooks, "headers")) {
    if (auto error = ReadHeaders(*headers, target)) return refuse(*error);
  }
  if (const Json* secret = Member(*webhooks, "secret")) {
    if (auto error = ReadSecrets(*secret, target)) return refuse(*error);
  }
  return target;
}

// The log gets no URL here: in a URL that was cut, RedactUrl might not find the password.
InvalidTarget TooLargeAgentSettings(std::int64_t bytes) {
  return {"", "the URL, headers and secrets in the agent's settings have " + std::to_string(bytes) +
                  " bytes, more than " + std::to_string(kMaxAgentSettingsBytes) + " together: shorten them"};
}

}  // namespace postcall
