// The Standard Webhooks headers of a POST (CONTRACT §7). Any thread; pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/agent_settings.h"
#include "schema/ids.h"

namespace postcall {

// `call_` and the call's id, each byte outside A-Za-z0-9_- as %XX. When that is over 200 bytes: `call_` and
// the SHA-256 of the call's id (its raw bytes) in lower-case hex, so that a receiver can compute it from
// `callId`. A resend has the same id.
std::string WebhookId(const CallId& call);

// `v1,` and the base64 HMAC-SHA256 over `id.timestamp.body`; one per secret, separated by a space. Throws
// std::runtime_error when the cryptographic library fails.
std::string Signature(std::string_view webhook_id, std::chrono::sys_seconds timestamp, std::string_view body,
                      std::span<const Secret> secrets);

// webhook-id, and with a secret webhook-timestamp and webhook-signature as well. `timestamp` is database
// time. Throws like Signature.
std::vector<Header> WebhookHeaders(const CallId& call, std::chrono::sys_seconds timestamp,
                                   std::string_view body, std::span<const Secret> secrets);

}  // namespace postcall
