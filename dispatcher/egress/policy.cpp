#include "dispatcher/egress/policy.h"

#include <algorithm>
#include <utility>

#include "dispatcher/egress/embedded_ipv4.h"
#include "dispatcher/egress/special_ranges.h"

namespace postcall::egress {
namespace {

using boost::asio::ip::address;

// The range with the longest prefix that contains `address`; nullptr when none does.
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
  address judged;                         // the address itself, or an IPv4 address inside it
  const Cidr* rule = nullptr;             // the operator's rule, if a rule decided
  const SpecialRange* special = nullptr;  // the special range, if the default refused the address
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

  for (const EmbeddedIpv4& ipv4 : embedded) {
    const Cidr* const rule = ipv4.is_same_host ? FindRule(allowed_, ipv4.address) : nullptr;
    if (rule != nullptr) return {.allowed = true, .judged = ipv4.address, .rule = rule};
  }
  const Cidr* const rule = FindRule(allowed_, address);
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
