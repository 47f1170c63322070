#include "schema/redact_url.h"

#include <arpa/inet.h>
#include <algorithm>

#include "common/utf8.h"
#include "schema/host.h"

namespace postcall {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

bool IsDigits(std::string_view text) { return text.find_first_not_of("0123456789") == kNone; }

// "http://" or "https://", in the upper and lower case of the text; empty when the text begins with neither.
std::string_view WebScheme(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    const std::string_view start = text.substr(0, scheme.size());
    if (std::equal(start.begin(), start.end(), scheme.begin(), scheme.end(),
                   [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; })) {
      return start;
    }
  }
  return {};
}

// The position of the ':' before the port. For an IPv6 address it is the one after the bracket.
std::size_t PortColon(std::string_view authority) {
  const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : kNone;
  return authority.find(':', bracket == kNone ? 0 : bracket);
}

// Whether `authority` is certainly a host. It may be the beginning of user info in which a '/' or '?' was not
// encoded: a parser reads `https://user:12/34@host` as host `user` and port 12.
bool IsSurelyHost(std::string_view authority) {
  const std::size_t colon = PortColon(authority);
  const std::string_view host = authority.substr(0, colon);
  if (colon != kNone && !IsDigits(authority.substr(colon + 1))) return false;
  if (host.starts_with('[')) return host.ends_with(']') && ParseIpv6Host(host.substr(1, host.size() - 2));
  in_addr address{};
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) == 1) return true;
  if (host == "localhost") return true;
  return colon == kNone && host.find('.') != kNone && ParseHost(host);
}

// Cuts long parts, so that a very long text costs no more than the part that is shown.
void Append(std::string& out, std::string_view text) { out += text.substr(0, kMaxRedactedUrlBytes + 1); }

void AppendAuthority(std::string& out, std::string_view authority) {
  const std::size_t colon = PortColon(authority);
  if (colon == kNone || IsDigits(authority.substr(colon + 1))) {
    Append(out, authority);
  } else {  // not a port: it may be a password whose '@' is missing
    Append(out, authority.substr(0, colon + 1));
    out += kEllipsis;
  }
}

void AppendPath(std::string& out, std::string_view path) {
  if (path.find('@') == kNone) {
    Append(out, path);
  } else {
    out += "/";
    out += kEllipsis;
  }
}

// `query` begins with its separator.
void AppendQuery(std::string& out, std::string_view query) {
  while (!query.empty() && out.size() <= kMaxRedactedUrlBytes) {
    out += query.front();
    query.remove_prefix(1);
    const std::string_view piece = query.substr(0, query.find('&'));
    query.remove_prefix(piece.size());
    const std::string_view key = piece.substr(0, piece.find('='));
    if (key.size() < piece.size() && key.find('@') == kNone) {
      Append(out, key);
      out += '=';
    }
    if (!piece.empty()) out += kEllipsis;
  }
}

// One line of text that is safe in any log, column or terminal.
std::string Presentable(std::string_view text) {
  std::string out;
  while (!text.empty() && out.size() <= kMaxRedactedUrlBytes) {
    const Utf8Unit unit = FirstUtf8Unit(text);
    const std::string_view character = text.substr(0, unit.bytes);
    const auto last = static_cast<unsigned char>(character.back());
    const bool control =
        unit.bytes == 1 ? last < 0x20 || last == 0x7F : character[0] == '\xC2' && last < 0xA0;
    out += unit.well_formed && !control ? character : kReplacementCharacter;
    text.remove_prefix(unit.bytes);
  }
  if (out.size() <= kMaxRedactedUrlBytes) return out;
  return std::string(Utf8Prefix(out, kMaxRedactedUrlBytes - kEllipsis.size())).append(kEllipsis);
}

}  // namespace

std::string RedactUrl(std::string_view text) {
  const std::string_view scheme = WebScheme(text);
  std::string_view body = text.substr(scheme.size());
  std::string hidden = std::string(scheme).append(kEllipsis);
  // Without a scheme it is not known where user info ends.
  if (scheme.empty() && (body.find('@') != kNone || body.find("%40") != kNone)) return hidden;

  const std::size_t user_info_end = body.substr(0, body.find_first_of("/?#\\")).rfind('@');
  if (user_info_end != kNone) body.remove_prefix(user_info_end + 1);
  const std::string_view authority = body.substr(0, body.find_first_of("/?#\\"));
  std::string_view rest = body.substr(authority.size());
  if (authority.find("%40") != kNone) return hidden;
  if (rest.find('@') != kNone && (rest.starts_with('\\') || !IsSurelyHost(authority))) return hidden;

  // A host has no '&' or '=', so there the '?' before the query is missing or mistyped. In a path, an '&'
  // also begins the query; without a scheme, an '=' does so, too.
  const std::string_view host = authority.substr(0, authority.find_first_of("&="));
  rest = body.substr(host.size());
  rest = rest.substr(0, rest.find('#'));
  const bool has_path = rest.starts_with('/') || rest.starts_with('\\');
  const std::size_t path_end = has_path ? rest.find_first_of(scheme.empty() ? "?&=" : "?&") : 0;
  const std::string_view path = rest.substr(0, path_end);
  std::string out(scheme);
  AppendAuthority(out, host);
  AppendPath(out, path);
  AppendQuery(out, rest.substr(path.size()));
  return Presentable(out);
}

}  // namespace postcall
