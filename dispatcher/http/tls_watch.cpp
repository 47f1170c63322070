#include "dispatcher/http/tls_watch.h"

#include <openssl/x509.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string_view>

namespace postcall::http {
namespace {

// A handshake has about ten messages, and one or two more come with a response.
constexpr int kMaxHandshakeMessages = 64;
// For all certificates that the endpoint sends. It is enough for ten large ones, which take 10 ms to check.
constexpr long kMaxCertificateBytes = 32L * 1024;

// The bytes that TLS 1.2 adds to each record, and the size of a chunk of one byte.
constexpr std::size_t kTlsRecordAdds = 24;
constexpr std::size_t kLeastChunk = std::string_view("1\r\na\r\n").size();

// An alert has two bytes: its level and its description.
bool IsCloseNotify(int type, const void* bytes, std::size_t size) {
  return type == SSL3_RT_ALERT && size == 2 &&
         static_cast<const unsigned char*>(bytes)[1] == SSL3_AD_CLOSE_NOTIFY;
}

// From now on OpenSSL finds nothing to read, also when there is no memory for the empty BIO.
void ReadNoMore(SSL* session) { SSL_set0_rbio(session, BIO_new(BIO_s_null())); }

}  // namespace

void TlsWatch::Watch(const SSL_CTX* context) {
  if (context != context_) StopWatching();
  context_ = context;
  watches_.insert_or_assign(context, this);
}

void TlsWatch::StopWatching() {
  // Another attempt may use the connection by now.
  const auto found = watches_.find(context_);
  if (found != watches_.end() && found->second == this) watches_.erase(found);
}

TlsWatch* TlsWatch::Of(const SSL* session, void* watches) {
  const auto& by_context = *static_cast<const ByContext*>(watches);
  const auto found = by_context.find(SSL_get_SSL_CTX(session));
  return found == by_context.end() ? nullptr : found->second;
}

void TlsWatch::BeginHandshake(SSL_CTX* context) {
  Watch(context);
  SSL_CTX_set_max_cert_list(context, kMaxCertificateBytes);
  SSL_CTX_set_msg_callback(context, &TlsWatch::OnMessage);
  SSL_CTX_set_msg_callback_arg(context, &watches_);
  SSL_CTX_set_cert_verify_callback(context, &TlsWatch::VerifyCertificates, &watches_);
}

void TlsWatch::UseConnection(const SSL* session) {
  Watch(SSL_get_SSL_CTX(session));
  NoteCertificate(SSL_get0_peer_certificate(session));
}

// Verifies as OpenSSL does by default, and also notes a certificate that is refused.
int TlsWatch::VerifyCertificates(X509_STORE_CTX* chain, void* watches) {
  const void* session = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
  TlsWatch* const watch = Of(static_cast<const SSL*>(session), watches);
  if (watch != nullptr) watch->NoteCertificate(X509_STORE_CTX_get0_cert(chain));
  return X509_verify_cert(chain);
}

// The type of a record tells whether it is part of the response or a message of TLS itself, such as a session
// ticket.
void TlsWatch::OnMessage(int sent, int, int type, const void* bytes, std::size_t size, SSL* session,
                         void* watches) {
  if (sent != 0) {
    // After our close_notify, libcurl 8 would read until the peer's close_notify comes, for at most 2 s, and
    // keep the descriptor that long.
    if (IsCloseNotify(type, bytes, size)) ReadNoMore(session);
    return;
  }
  if (size == 0) return;
  TlsWatch* const watch = Of(session, watches);
  const auto* const data = static_cast<const unsigned char*>(bytes);
  if (type == SSL3_RT_HANDSHAKE) {
    if (watch != nullptr && *data == SSL3_MT_CERTIFICATE_REQUEST) watch->facts_.certificate_requested = true;
    return CountHandshakeMessage(watch, session);
  }
  if (watch == nullptr) return;
  if (type == SSL3_RT_ALERT && size == 2) watch->NoteAlert(data);
  if (!watch->response_.IsExpected()) return;
  if (type == SSL3_RT_HEADER) watch->CountRecord(data);
  if (*data != SSL3_RT_APPLICATION_DATA) return;
  if (type != (SSL_version(session) == TLS1_3_VERSION ? SSL3_RT_INNER_CONTENT_TYPE : SSL3_RT_HEADER)) return;
  watch->response_.NoteFirstByte();
}

// OpenSSL reads such messages in one call as long as they come, and the loop waits. A kept connection that is
// being closed has no attempt, so nothing more is read from it.
void TlsWatch::CountHandshakeMessage(TlsWatch* watch, SSL* session) {
  if (watch != nullptr && ++watch->handshake_messages_ <= kMaxHandshakeMessages) return;
  ReadNoMore(session);
}

// `alert` is its level, which has no meaning since TLS 1.3, and its description.
void TlsWatch::NoteAlert(const unsigned char* alert) {
  if (IsTlsError(alert[1])) facts_.alert = alert[1];
}

// `header` is the record's type, two bytes of version and two bytes of length. A record counts as at least
// one chunk, so that the limit also bounds the time that small records cost.
void TlsWatch::CountRecord(const unsigned char* header) {
  const std::size_t length = std::size_t{header[3]} << 8 | header[4];
  response_bytes_ += std::max(length, kTlsRecordAdds + kLeastChunk) - kTlsRecordAdds;
}

void TlsWatch::NoteCertificate(const X509* certificate) {
  if (certificate == nullptr) return;
  std::tm ends{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &ends) != 1) return;
  facts_.certificate_ends_at = DatabaseTime(std::chrono::seconds(::timegm(&ends)));
}

}  // namespace postcall::http
