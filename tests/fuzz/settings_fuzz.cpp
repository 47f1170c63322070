// An agent's settings. There must never be an exception, nor a target with a header that HTTP forbids or that
// is ours, nor a target without the signature that the settings ask for (CONTRACT §7).
//
// The input is read twice: as the JSON itself, and as lines from which JSON is made, because few mutations of
// JSON are JSON: `U url`, `H name: value` for each header, `S secret` for each secret.
#include <openssl/evp.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schema/agent_settings.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/text.h"

namespace postcall::fuzz {
namespace {

using Json = nlohmann::json;

std::string Base64(std::string_view bytes) {
  std::vector<unsigned char> text(bytes.size() / 3 * 4 + 5);
  const int length = EVP_EncodeBlock(text.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  return {text.begin(), text.begin() + length};
}

bool MayBeInAName(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsOurs(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto begins = [&name](const char* with) { return name.rfind(with, 0) == 0; };
  return name == "host" || begins("content-") || name == "transfer-encoding" || name == "connection" ||
         name == "te" || name == "trailer" || name == "upgrade" || name == "expect" || name == "cookie" ||
         begins("accept") || name == "user-agent" || begins("proxy-") || begins("webhook-");
}

bool IsAuthorization(const std::string& name) {
  constexpr std::string_view kAuthorization = "authorization";
  return std::equal(name.begin(), name.end(), kAuthorization.begin(), kAuthorization.end(),
                    [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

void CheckHeader(const Header& header, const Url& url) {
  Require(!header.name.empty() && std::all_of(header.name.begin(), header.name.end(), MayBeInAName),
          "a header's name is a token", {header.name});
  Require(!IsOurs(header.name), "no header of a target is ours", {header.name});
  Require(!url.has_credentials || !IsAuthorization(header.name), "there is only one source of Authorization",
          {header.name});
  const std::string& value = header.value;
  Require(std::none_of(value.begin(), value.end(),
                       [](char c) { return c != '\t' && HasControl(std::string_view(&c, 1)); }),
          "a header's value has no control byte except the tab", {header.name, value});
  Require(value.empty() || (value.find_first_of(" \t") != 0 && value.find_last_of(" \t") != value.size() - 1),
          "a header's value has no spaces at its ends", {header.name, value});
}

bool IsOneLine(const std::string& text) { return !HasControl(text) && IsStrictUtf8(text); }

void CheckError(const InvalidTarget& invalid) {
  Require(!invalid.error.empty() && invalid.error.size() <= 300 && IsOneLine(invalid.error),
          "an error is one line of text", {invalid.error});
}

void CheckUrlForLog(const std::string& url) {
  Require(IsOneLine(url), "the URL for the log is one line of UTF-8", {url});
}

// The value under "webhooks" in the settings; null when there is none.
Json Wanted(const Json& settings, const char* member) {
  if (!settings.is_object() || !settings.contains("webhooks")) return nullptr;
  const Json& webhooks = settings["webhooks"];
  return webhooks.is_object() && webhooks.contains(member) ? webhooks[member] : Json(nullptr);
}

std::string Trimmed(std::string value) {
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.erase(0, 1);
  return value;
}

void CheckHasAll(const Target& target, const Json& settings) {
  const Json url = Wanted(settings, "postCall");
  Require(url.is_string() && ParseUrl(url.get<std::string>()), "a target's URL is a URL", {});
  Require(*ParseUrl(url.get<std::string>()) == target.url, "a target's URL is that of the settings",
          {target.url.host});

  const Json headers = Wanted(settings, "headers");
  Require(headers.is_null() || headers.is_object(), "headers are an object", {headers.dump(-1, ' ', true)});
  Require(target.headers.size() == headers.size(), "no header is left out", {});
  for (const Header& header : target.headers) {
    const auto found = headers.find(header.name);
    Require(
        found != headers.end() && found->is_string() && Trimmed(found->get<std::string>()) == header.value,
        "a header is that of the settings", {header.name, header.value});
  }

  const Json secret = Wanted(settings, "secret");
  const Json secrets = secret.is_null() || secret.is_array() ? secret : Json::array({secret});
  Require(secrets.is_null() || !secrets.empty(), "an empty list of secrets is unusable", {});
  Require(target.secrets.size() == secrets.size(), "every secret that was given signs", {});
  for (std::size_t i = 0; i < target.secrets.size(); ++i) {
    Require(secrets[i].is_string(), "a secret is a string", {});
    std::string given = secrets[i].get<std::string>();
    if (given.rfind("whsec_", 0) == 0) given.erase(0, 6);
    Require(!given.empty() && Base64(target.secrets[i].key) == given, "the key is that of the settings",
            {given});
  }
}

AgentSettings CheckJson(const std::string& json) {
  AgentSettings parsed = ParseAgentSettings(json);
  if (const auto* invalid = std::get_if<InvalidTarget>(&parsed)) {
    CheckError(*invalid);
    CheckUrlForLog(invalid->url_for_log);
  }
  if (const auto* target = std::get_if<Target>(&parsed)) {
    CheckUrlForLog(target->url_for_log);
    for (const Header& header : target->headers) CheckHeader(header, target->url);
    for (const Secret& secret : target->secrets) Require(!secret.key.empty(), "no key is empty", {json});
  }

  // This parser fails on a number beyond the range of a double, which the settings may have.
  const Json settings = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (settings.is_discarded()) return parsed;
  const Json url = Wanted(settings, "postCall");
  Require(std::holds_alternative<NoTarget>(parsed) == (url.is_null() || url == ""),
          "there is no target when there is no URL, and only then", {json});
  if (const auto* target = std::get_if<Target>(&parsed)) CheckHasAll(*target, settings);
  return parsed;
}

// ---- the lines

struct Lines {
  std::string url;
  Json headers;
  std::vector<std::string> secrets;

  std::string ToJson() const {
    Json webhooks = {{"postCall", url}};
    if (!headers.is_null()) webhooks["headers"] = headers;
    if (secrets.size() == 1) webhooks["secret"] = secrets.front();
    if (secrets.size() > 1) webhooks["secret"] = secrets;
    return Json({{"webhooks", webhooks}}).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
};

Lines ReadLines(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.size() < 2) continue;
    const std::string rest = Replaced(std::string(line.substr(2)));
    const std::size_t colon = std::min(rest.find(": "), rest.size());
    if (line.starts_with("U ")) lines.url = rest;
    if (line.starts_with("S ")) lines.secrets.push_back(rest);
    if (line.starts_with("H "))
      lines.headers[rest.substr(0, colon)] = rest.substr(std::min(colon + 2, rest.size()));
  }
  return lines;
}

// An error names a header and quotes nothing else. No sentence contains these letters, so an error with them
// has quoted the input.
void CheckErrorQuotesNoValue(Lines lines) {
  constexpr std::string_view kMark = "qqqq";
  for (const auto& [name, value] : lines.headers.items()) {
    if (name.find(kMark) != std::string::npos) return;
    value = std::string(kMark) + value.get<std::string>();
  }
  for (std::string& secret : lines.secrets) secret.insert(0, kMark);
  const AgentSettings parsed = CheckJson(lines.ToJson());
  const auto* invalid = std::get_if<InvalidTarget>(&parsed);
  Require(invalid == nullptr || invalid->error.find(kMark) == std::string::npos,
          "an error quotes no value and no secret",
          {lines.ToJson(), invalid == nullptr ? "" : invalid->error});
}

// A refused header or secret hides those after it, so each is also tried alone.
void CheckEachAlone(const Lines& lines) {
  constexpr std::size_t kMost = 8;
  std::size_t count = 0;
  for (const auto& [name, value] : lines.headers.items()) {
    if (++count > kMost) return;
    CheckJson(Lines{lines.url, {{name, value}}, {}}.ToJson());
  }
  for (const std::string& secret : lines.secrets) {
    if (++count > kMost) return;
    CheckJson(Lines{lines.url, nullptr, {secret}}.ToJson());
  }
}

}  // namespace
}  // namespace postcall::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postcall::fuzz;  // NOLINT(google-build-using-namespace)
  const std::string input(reinterpret_cast<const char*>(data), size);
  CheckJson(input);
  const Lines lines = ReadLines(input);
  if (!lines.url.empty()) {
    CheckJson(lines.ToJson());
    CheckEachAlone(lines);
    CheckErrorQuotesNoValue(lines);
  }
  return 0;
}
