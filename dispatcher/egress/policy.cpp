#include "dispatcher/egress/policy.h"

#include <algorithm>
#include <utility>

#include "dispatcher/egress/embedded_ipv4.h"
#include "dispatcher/egress/special_ranges.h"

namespace postcall::egress {
namespace {

using boost::asio::ip::address;

// The longest range of `ranges` that holds `address`, or nullptr.
const Cidr* FindRule(const std::vector<Cidr>& ranges, const address& address) {
  const Cidr* found = nullptr;
  for (const Cidr& range : ranges) {
    if (range.Contains(address) && (found == nullptr || range.length() > found->length())) found = &range;
  }
  return found;
}

}  // namespace

struct Policy::Verdict {
  bool allowed;
  address judged;                         // the address itself, or an IPv4 address within
  const Cidr* rule = nullptr;             // the operator's, if one decided
  const SpecialRange* special = nullptr;  // what the default refused
};

Policy::Policy(std::vector<Cidr> allowed, std::vector<Cidr> denied)
    : allowed_(std::move(allowed)), denied_(std::move(denied)) {}

Policy::Verdict Policy::Judge(const address& address) const {
  const auto embedded = address.is_v6() ? EmbeddedIn(address.to_v6()) : std::vector<EmbeddedIpv4>();

  if (const Cidr* rule = FindRule(denied_, address))
    return {.allowed = false, .judged = address, .rule = rule};
  for (const EmbeddedIpv4& ipv4 : embedded) {
    if (const Cidr* rule = FindRule(denied_, ipv4.address)) {
      return {.allowed = false, .judged = ipv4.address, .rule = rule};
    }
  }

  const Cidr* const rule = FindRule(allowed_, address);
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    const Cidr* const mapped_rule = FindRule(allowed_, embedded.front().address);
    if (mapped_rule != nullptr)
      return {.allowed = true, .judged = embedded.front().address, .rule = mapped_rule};
  }
  if (rule == nullptr) {
    if (const SpecialRange* special = FindSpecialRange(address)) {
      return {.allowed = false, .judged = address, .special = special};
    }
  }
  for (const EmbeddedIpv4& ipv4 : embedded) {
    const bool named_outright = rule != nullptr && rule->length() > ipv4.begins_at;
    const SpecialRange* special = named_outright ? nullptr : FindSpecialRange(ipv4.address);
    if (special != nullptr) return {.allowed = false, .judged = ipv4.address, .special = special};
  }
  return {.allowed = true, .judged = address, .rule = rule};
}

bool Policy::Allows(const address& address) const { return Judge(address).allowed; }

std::string Policy::Explain(const address& address) const {
  const Verdict verdict = Judge(address);
  std::string sentence = address.to_string();
  if (verdict.judged != address) sentence += ", which stands for " + verdict.judged.to_string() + ",";
  if (verdict.rule != nullptr) {
    return sentence + (verdict.allowed ? " is allowed by " : " is denied by ") + verdict.rule->ToString();
  }
  if (verdict.special == nullptr) return sentence + " is publicly routable";
  return sentence + " is not publicly routable: " + verdict.special->range.ToString() + " (" +
         std::string(verdict.special->name) + ")";
}

}  // namespace postcall::egress
