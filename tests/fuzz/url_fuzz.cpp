// The code that decides where a POST may go: the URL parser compared with libcurl's, the redacted form, the
// egress policy. The input is the text of a URL; its last bytes are also used as addresses.
#include <arpa/inet.h>
#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/handle.h"
#include "common/utf8.h"
#include "dispatcher/egress/policy.h"
#include "schema/host.h"
#include "schema/redact_url.h"
#include "schema/url.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/routable.h"
#include "tests/fuzz/text.h"

namespace postcall::fuzz {
namespace {

using boost::asio::ip::address;

// ---- libcurl's view

struct CurlView {
  std::string host, port, target, user, password;
};

std::string Part(CURLU* handle, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

// No value when libcurl refuses the text. The flags are those that a transfer uses for CURLOPT_URL.
std::optional<CurlView> AskCurl(const std::string& text) {
  const Handle<CURLU, curl_url_cleanup> handle(curl_url());
  constexpr unsigned kFlags = CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS;
  if (curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), kFlags) != CURLUE_OK) return std::nullopt;
  CurlView view{.host = Part(handle.get(), CURLUPART_HOST, 0),
                .port = Part(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT),
                .target = Part(handle.get(), CURLUPART_PATH, 0),
                .user = Part(handle.get(), CURLUPART_USER, CURLU_URLDECODE),
                .password = Part(handle.get(), CURLUPART_PASSWORD, CURLU_URLDECODE)};
  const std::string query = Part(handle.get(), CURLUPART_QUERY, 0);
  if (!query.empty()) view.target += "?" + query;
  return view;
}

std::string WithBrackets(const Url& url) { return url.host_is_ipv6 ? "[" + url.host + "]" : url.host; }

// The canonical spelling of a host: lower case; an address without the dot at its end, which libcurl keeps;
// IPv6 as inet_ntop prints it.
std::string Canonical(std::string host) {
  std::transform(host.begin(), host.end(), host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (host.starts_with('[') && host.ends_with(']')) {
    in6_addr bytes{};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &bytes) != 1) return host;
    return std::string("[") + inet_ntop(AF_INET6, &bytes, text.data(), text.size()) + "]";
  }
  std::string numbers = host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
  // Browsers read "0x" alone as 0; the C library and libcurl do not.
  for (std::size_t at = 0; (at = numbers.find("0x", at)) != std::string::npos; at += 2) {
    if ((at == 0 || numbers[at - 1] == '.') && (at + 2 == numbers.size() || numbers[at + 2] == '.')) {
      numbers.insert(at + 2, "0");
    }
  }
  in_addr bytes{};
  return inet_aton(numbers.c_str(), &bytes) == 0 ? host : inet_ntoa(bytes);
}

void CompareWithCurl(const std::string& text, const Url& url) {
  const std::string canonical = url.ToString();
  const auto sent = AskCurl(canonical);
  Require(sent.has_value(), "libcurl accepts what the parser accepted", {text, canonical});
  Require(sent->host == WithBrackets(url), "libcurl connects to the host that was judged",
          {text, sent->host});
  Require(sent->port == std::to_string(url.port), "libcurl connects to the port that was judged",
          {text, sent->port});
  // For libcurl, a '?' at the end is not a query.
  const bool empty_query = url.target.find('?') + 1 == url.target.size();
  Require(sent->target + (empty_query ? "?" : "") == url.target,
          "libcurl asks for the target that was judged", {text, url.target, sent->target});
  Require(sent->user.empty() && sent->password.empty(), "the canonical text has no user info",
          {text, canonical});

  // libcurl never gets the original text, but it would not connect elsewhere if it did.
  const auto raw = AskCurl(text);
  if (!raw) return;
  Require(Canonical(raw->host) == WithBrackets(url), "libcurl reads the same host in the original text",
          {text, raw->host, url.host});
  Require(raw->port == std::to_string(url.port), "libcurl reads the same port in the original text",
          {text, raw->port});
  Require(raw->user == url.user && raw->password == url.password,
          "libcurl reads the same user info in the original text",
          {text, raw->user, url.user, raw->password, url.password});
}

// ---- the parser

void CheckUrl(const std::string& text, const Url& url) {
  const std::string canonical = url.ToString();
  const Result<Url> again = ParseUrl(canonical);
  // Escapes make a text longer.
  if (canonical.size() <= kMaxUrlBytes) {
    Require(static_cast<bool>(again), "a URL's own text is a URL", {text, canonical});
    Require(again->Endpoint() == url.Endpoint(), "a URL's own text has its endpoint", {text, canonical});
    Url without_credentials = url;
    without_credentials.user = without_credentials.password = "";
    without_credentials.has_credentials = false;
    Require(*again == without_credentials, "a URL's own text is the same URL", {text, canonical});
  }
  Require(IsPrintableAscii(canonical) && canonical.find(' ') == std::string::npos,
          "the text for libcurl is ASCII without spaces", {text, canonical});
  Require(!HasControl(url.user) && !HasControl(url.password), "user info has no control bytes", {text});
  in_addr bytes{};
  if (!url.host_is_ipv6 && inet_aton(url.host.c_str(), &bytes) != 0) {
    Require(url.host == inet_ntoa(bytes), "no spelling of an address is read as a name", {text, url.host});
  }
}

// The text with its long words replaced by "qqqq". A sentence with "qqqq" has quoted the text.
std::string Disguised(std::string text) {
  const auto is_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  const std::size_t scheme = text.find("://");
  for (auto at = text.begin() + static_cast<std::ptrdiff_t>(scheme == std::string::npos ? 0 : scheme);
       at != text.end();) {
    const auto begin = std::find_if(at, text.end(), is_word);
    at = std::find_if_not(begin, text.end(), is_word);
    if (at - begin >= 4) std::fill(begin, at, 'q');
  }
  return text;
}

void CheckError(const std::string& text, const std::string& error) {
  Require(!error.empty() && error.size() <= 200 && IsPrintableAscii(error), "an error is one sentence",
          {text, error});
  const std::string disguised = Disguised(text);
  const Result<Url> url = ParseUrl(disguised);
  Require(url || url.error().find("qqqq") == std::string::npos, "an error quotes nothing of the text",
          {disguised, url ? "" : url.error()});
}

// ---- the redacted form

// A letter or digit that the text does not have; no value when it has all.
std::optional<char> FindMark(std::string_view text) {
  constexpr std::string_view kMarks = "qzxjkvQZXJKVbfghmpwyBFGHMPWYacdeilnorstuACDEILNORSTU0123456789";
  const auto mark = std::find_if(kMarks.begin(), kMarks.end(),
                                 [text](char c) { return text.find(c) == std::string_view::npos; });
  return mark == kMarks.end() ? std::nullopt : std::optional(*mark);
}

// The secret with the mark before each character and at its end. An escape counts as one character.
std::string Marked(std::string_view secret, char mark) {
  std::string marked;
  while (!secret.empty()) {
    const std::size_t bytes = secret.front() == '%' ? 3 : FirstUtf8Unit(secret).bytes;
    marked.append(1, mark).append(secret.substr(0, bytes));
    secret.remove_prefix(std::min(bytes, secret.size()));
  }
  return marked + mark;
}

// The secret parts of a URL are the user info, the values of the query, and the fragment. The mark
// distinguishes them from the same characters in other parts.
std::string WithMarkedSecrets(std::string_view url, char mark) {
  const std::size_t begin = url.find("://") + 3;
  const std::size_t authority_end = std::min(url.find_first_of("/?#", begin), url.size());
  const std::size_t at = url.substr(begin, authority_end - begin).rfind('@');
  std::string marked(url.substr(0, begin));
  std::size_t host = begin;
  if (at != std::string_view::npos) {
    host = begin + at + 1;
    const std::string_view user_info = url.substr(begin, at);
    const std::string_view user = user_info.substr(0, user_info.find(':'));
    marked += Marked(user, mark);
    if (user.size() < user_info.size()) marked += ":" + Marked(user_info.substr(user.size() + 1), mark);
    marked += '@';
  }
  const std::size_t fragment = std::min(url.find('#'), url.size());
  const std::size_t query = std::min(url.find('?', authority_end), fragment);
  marked += url.substr(host, query - host);
  for (std::size_t piece = query; piece < fragment;) {
    const std::size_t end = std::min(url.find('&', piece + 1), fragment);
    const std::size_t equals = url.find('=', piece + 1);
    const std::size_t value = equals < end ? equals + 1 : piece + 1;
    marked.append(url.substr(piece, value - piece)).append(Marked(url.substr(value, end - value), mark));
    piece = end;
  }
  if (fragment < url.size()) marked += "#" + Marked(url.substr(fragment + 1), mark);
  return marked;
}

void CheckRedacted(const std::string& text, bool is_url) {
  const std::string redacted = RedactUrl(text);
  Require(redacted.size() <= kMaxRedactedUrlBytes, "the redacted form is short", {text, redacted});
  Require(IsStrictUtf8(redacted), "the redacted form is UTF-8", {text, redacted});
  Require(!HasControl(redacted), "the redacted form has no control byte", {text, redacted});

  const auto mark = FindMark(text);
  if (!is_url || !mark) return;
  const std::string marked = WithMarkedSecrets(text, *mark);
  const std::string shown = RedactUrl(marked);
  Require(shown.find(*mark) == std::string::npos,
          "the redacted form has no user info, no value of the query and no fragment", {marked, shown});
}

// ---- the policy

void CheckAddress(const address& judged, std::string_view text) {
  static const egress::Policy policy;
  const bool routable =
      judged.is_v4() ? IsRoutable(judged.to_v4().to_bytes()) : IsRoutable(judged.to_v6().to_bytes());
  if (policy.Allows(judged) != routable) {
    Require(false, "by default an address is open if it is publicly routable, and only then",
            {text, judged.to_string(), policy.Explain(judged)});
  }
}

template <class Address>
void CheckLastBytes(std::string_view input) {
  typename Address::bytes_type bytes;
  if (input.size() < bytes.size()) return;
  std::memcpy(bytes.data(), input.data() + input.size() - bytes.size(), bytes.size());
  CheckAddress(Address(bytes), "the input's last bytes");
}

// Few inputs are in a range of 256 addresses by chance, so the last two bytes also choose the edge of a range
// and a distance from it.
void CheckNearAnEdge(std::string_view input) {
  if (input.size() < 2) return;
  const auto choice = static_cast<unsigned char>(input[input.size() - 1]);
  const auto step = static_cast<signed char>(input[input.size() - 2]);
  const auto& [first, last] = kClosedIpv4[choice / 2 % std::size(kClosedIpv4)];
  CheckAddress(
      boost::asio::ip::address_v4((choice % 2 == 0 ? first : last) + static_cast<std::uint32_t>(step)),
      "near an edge");

  // Downwards from the edge: the last address before it.
  boost::asio::ip::address_v6::bytes_type bytes{};
  std::size_t i = 0;
  for (const std::uint16_t group : kEdgesIpv6[choice % std::size(kEdgesIpv6)]) {
    bytes[i++] = static_cast<unsigned char>(group >> 8);
    bytes[i++] = static_cast<unsigned char>(group & 0xFF);
  }
  if (step >= 0) {
    bytes.back() = static_cast<unsigned char>(step);
  } else {
    for (std::size_t k = bytes.size(); k-- > 0 && bytes[k]-- == 0;) {
    }
  }
  CheckAddress(boost::asio::ip::address_v6(bytes), "near an edge");
}

void RunOne(const std::string& text) {
  const Result<Url> url = ParseUrl(text);
  if (url) {
    CheckUrl(text, *url);
    CompareWithCurl(text, *url);
    boost::system::error_code is_name;
    const auto literal = boost::asio::ip::make_address(url->host, is_name);
    if (!is_name) CheckAddress(literal, text);
    Require(!url->host_is_ipv6 || !is_name, "the text in brackets is an address", {text, url->host});
  } else {
    CheckError(text, url.error());
  }
  CheckRedacted(text, static_cast<bool>(url));
  CheckLastBytes<boost::asio::ip::address_v4>(text);
  CheckLastBytes<boost::asio::ip::address_v6>(text);
  CheckNearAnEdge(text);
}

}  // namespace
}  // namespace postcall::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postcall::fuzz::RunOne(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
