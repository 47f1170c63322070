// The TLS alerts that say why an endpoint ends a connection (RFC 8446, section 6), with names that do not
// depend on OpenSSL's version. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace postcall::http {

using TlsAlert = std::uint8_t;  // the alert's description, as on the wire

// False for alerts that end nothing or end a connection normally: close_notify, user_canceled,
// no_renegotiation.
bool IsTlsError(TlsAlert alert);

// "handshake failure", "certificate required"; "number 99" when the alert has no name.
std::string NameOfTlsAlert(TlsAlert alert);

// Whether the alert says that a client certificate is missing. `requested`: the endpoint had asked for one.
// Before TLS 1.3 no alert means only this.
bool IsAboutClientCertificate(TlsAlert alert, bool requested);

}  // namespace postcall::http
