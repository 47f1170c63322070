#include "dispatcher/egress/cidr.h"

#include <algorithm>
#include <charconv>

namespace postcall::egress {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

Bytes ToBytes(const boost::asio::ip::address& address) {
  Bytes bytes{};
  if (address.is_v4()) {
    std::ranges::copy(address.to_v4().to_bytes(), bytes.begin());
  } else {
    bytes = address.to_v6().to_bytes();
  }
  return bytes;
}

void ClearFrom(Bytes& bytes, unsigned length) {
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const unsigned kept = std::clamp(length, i * 8, i * 8 + 8) - i * 8;
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00u >> kept));
  }
}

Error Refuse(std::string_view text, const std::string& why) {
  return Error{"\"" + std::string(text) + "\" is not a usable address range: " + why};
}

}  // namespace

Cidr::Cidr(const boost::asio::ip::address& network, unsigned length)
    : network_(ToBytes(network)),
      length_(std::min(length, network.is_v4() ? 32u : 128u)),
      is_v4_(network.is_v4()) {
  ClearFrom(network_, length_);
}

bool Cidr::Contains(const boost::asio::ip::address& address) const {
  if (address.is_v4() != is_v4_) return false;
  Bytes bytes = ToBytes(address);
  ClearFrom(bytes, length_);
  return bytes == network_;
}

std::string Cidr::ToString() const {
  boost::asio::ip::address network = boost::asio::ip::address_v6(network_);
  if (is_v4_) {
    network = boost::asio::ip::address_v4({network_[0], network_[1], network_[2], network_[3]});
  }
  return network.to_string() + "/" + std::to_string(length_);
}

Result<Cidr> ParseCidr(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  boost::system::error_code failed;
  const auto address = boost::asio::ip::make_address(std::string(host), failed);
  if (failed || host.find_first_of(std::string_view("%\0", 2)) != std::string_view::npos) {
    return Refuse(text, "write it as 203.0.113.0/24 or 2001:db8::/32, without host name, port or zone");
  }
  const unsigned longest = address.is_v4() ? 32 : 128;
  unsigned length = longest;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const char* const end = digits.data() + digits.size();
    const auto [stopped, error] = std::from_chars(digits.data(), end, length);
    if (error != std::errc() || stopped != end || length > longest ||
        (digits.size() > 1 && digits[0] == '0')) {
      return Refuse(text, "write a length from 0 to " + std::to_string(longest) + " after the slash");
    }
  }
  if (address.is_v6() && address.to_v6().is_v4_mapped() && length >= 96) {
    const auto inner = make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
    return Refuse(text,
                  "an IPv4 range covers this spelling too; write " + Cidr(inner, length - 96).ToString());
  }
  const Cidr cidr(address, length);
  Bytes kept = ToBytes(address);
  ClearFrom(kept, length);
  if (kept != ToBytes(address)) {
    return Refuse(text, "it has bits set beyond its length; write " + cidr.ToString() +
                            " for the range, or " + Cidr(address, longest).ToString() +
                            " for the one address");
  }
  return cidr;
}

}  // namespace postcall::egress
