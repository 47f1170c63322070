#include "schema/signature.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <array>
#include <stdexcept>

#include "common/handle.h"
#include "schema/base64.h"

namespace postcall {
namespace {

constexpr std::size_t kMaxIdBytes = 200;
constexpr std::size_t kSha256Bytes = 32;
constexpr std::string_view kIdPrefix = "call_";

using Digest = std::array<unsigned char, kSha256Bytes>;
using Mac = Handle<EVP_MAC, EVP_MAC_free>;
using MacContext = Handle<EVP_MAC_CTX, EVP_MAC_CTX_free>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

void Require(bool done, const char* what) {
  if (!done) throw std::runtime_error(what);
}

std::string Hex(std::string_view bytes, std::string_view digits, std::string_view before_each = {}) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.append(before_each);
    text += digits[byte >> 4];
    text += digits[byte & 0x0F];
  }
  return text;
}

std::string_view View(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest Sha256(std::string_view text) {
  Digest digest{};
  Require(EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1,
          "SHA-256 failed");
  return digest;
}

bool StandsForItself(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// Takes head and body separately, so that the body is not copied.
Digest HmacSha256(std::string_view key, std::string_view head, std::string_view body) {
  static const Mac mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  Require(mac != nullptr, "HMAC is not available");
  const MacContext context(EVP_MAC_CTX_new(mac.get()));
  std::string name = "SHA256";
  const std::array<OSSL_PARAM, 2> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0), OSSL_PARAM_construct_end()};
  Digest digest{};
  std::size_t length = 0;
  Require(context != nullptr && EVP_MAC_init(context.get(), Bytes(key), key.size(), parameters.data()) == 1 &&
              EVP_MAC_update(context.get(), Bytes(head), head.size()) == 1 &&
              EVP_MAC_update(context.get(), Bytes(body), body.size()) == 1 &&
              EVP_MAC_final(context.get(), digest.data(), &length, digest.size()) == 1 &&
              length == digest.size(),
          "HMAC-SHA256 failed");
  return digest;
}

}  // namespace

std::string WebhookId(const CallId& call) {
  std::string id(kIdPrefix);
  for (const char& c : call.get()) {
    if (StandsForItself(c)) {
      id += c;
    } else {
      id += Hex({&c, 1}, "0123456789ABCDEF", "%");
    }
  }
  if (id.size() <= kMaxIdBytes) return id;
  return std::string(kIdPrefix) + Hex(View(Sha256(call.get())), "0123456789abcdef");
}

std::string Signature(std::string_view webhook_id, std::chrono::sys_seconds timestamp, std::string_view body,
                      std::span<const Secret> secrets) {
  const std::string head =
      std::string(webhook_id) + "." + std::to_string(timestamp.time_since_epoch().count()) + ".";
  std::string signature;
  for (const Secret& secret : secrets) {
    if (!signature.empty()) signature += ' ';
    signature += "v1," + EncodeBase64(View(HmacSha256(secret.key, head, body)));
  }
  return signature;
}

std::vector<Header> WebhookHeaders(const CallId& call, std::chrono::sys_seconds timestamp,
                                   std::string_view body, std::span<const Secret> secrets) {
  std::string id = WebhookId(call);
  if (secrets.empty()) return {{"webhook-id", std::move(id)}};
  std::string signature = Signature(id, timestamp, body, secrets);
  return {{"webhook-id", std::move(id)},
          {"webhook-timestamp", std::to_string(timestamp.time_since_epoch().count())},
          {"webhook-signature", std::move(signature)}};
}

}  // namespace postcall
