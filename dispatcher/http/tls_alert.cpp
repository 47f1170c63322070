#include "dispatcher/http/tls_alert.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace postcall::http {
namespace {

constexpr TlsAlert kCloseNotify = 0;
constexpr TlsAlert kHandshakeFailure = 40;
constexpr TlsAlert kBadCertificate = 42;
constexpr TlsAlert kUserCanceled = 90;
constexpr TlsAlert kNoRenegotiation = 100;
constexpr TlsAlert kCertificateRequired = 116;

struct Named {
  TlsAlert alert;
  std::string_view name;
};
constexpr std::array kNames = {
    Named{kCloseNotify, "close notify"},
    Named{10, "unexpected message"},
    Named{20, "bad record MAC"},
    Named{22, "record overflow"},
    Named{kHandshakeFailure, "handshake failure"},
    Named{kBadCertificate, "bad certificate"},
    Named{43, "unsupported certificate"},
    Named{44, "certificate revoked"},
    Named{45, "certificate expired"},
    Named{46, "certificate unknown"},
    Named{47, "illegal parameter"},
    Named{48, "unknown CA"},
    Named{49, "access denied"},
    Named{50, "decode error"},
    Named{51, "decrypt error"},
    Named{70, "protocol version"},
    Named{71, "insufficient security"},
    Named{80, "internal error"},
    Named{86, "inappropriate fallback"},
    Named{kUserCanceled, "user canceled"},
    Named{kNoRenegotiation, "no renegotiation"},
    Named{109, "missing extension"},
    Named{110, "unsupported extension"},
    Named{112, "unrecognized name"},
    Named{113, "bad certificate status response"},
    Named{115, "unknown PSK identity"},
    Named{kCertificateRequired, "certificate required"},
    Named{120, "no application protocol"},
};

}  // namespace

bool IsTlsError(TlsAlert alert) {
  return alert != kCloseNotify && alert != kUserCanceled && alert != kNoRenegotiation;
}

std::string NameOfTlsAlert(TlsAlert alert) {
  const auto* const named = std::ranges::find(kNames, alert, &Named::alert);
  return named == kNames.end() ? "number " + std::to_string(alert) : std::string(named->name);
}

bool IsAboutClientCertificate(TlsAlert alert, bool requested) {
  return alert == kCertificateRequired ||
         (requested && (alert == kHandshakeFailure || alert == kBadCertificate));
}

}  // namespace postcall::http
