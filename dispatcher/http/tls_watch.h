// What OpenSSL shows of the TLS connection that an attempt uses: the certificate, the alerts, the messages of
// TLS itself and the size of its records. One thread, the loop's.
//
// A connection can outlive the attempts that use it, and it keeps its callbacks. They find the attempt that
// uses the connection now, if there is one.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "common/clock.h"
#include "dispatcher/http/response.h"
#include "dispatcher/http/tls_alert.h"

namespace postcall::http {

struct TlsFacts {
  std::optional<TlsAlert> alert;       // the alert with which the endpoint ended the connection
  bool certificate_requested = false;  // the endpoint asked for a client certificate; we have none
  std::optional<DatabaseTime> certificate_ends_at;
};

class TlsWatch {
 public:
  // The attempt that uses a connection now, by the connection's own SSL_CTX.
  using ByContext = std::unordered_map<const SSL_CTX*, TlsWatch*>;

  // Both arguments outlive this object, and `watches` outlives all connections.
  TlsWatch(ByContext& watches, Response& response) : watches_(watches), response_(response) {}
  ~TlsWatch() { StopWatching(); }
  TlsWatch(const TlsWatch&) = delete;
  TlsWatch& operator=(const TlsWatch&) = delete;

  // TLS begins on a new connection of this attempt. Sets the callbacks and the limit of the certificates.
  void BeginHandshake(SSL_CTX* context);
  // The handshake is over, perhaps made for an earlier attempt, and the request is about to be sent.
  void UseConnection(const SSL* session);

  // False on a connection without TLS.
  bool has_tls() const { return context_ != nullptr; }
  // How many bytes the response has had in TLS records.
  std::uint64_t response_bytes() const { return response_bytes_; }
  const TlsFacts& facts() const { return facts_; }

 private:
  void Watch(const SSL_CTX* context);
  void StopWatching();
  static TlsWatch* Of(const SSL* session, void* watches);

  static int VerifyCertificates(X509_STORE_CTX* chain, void* watches);
  static void OnMessage(int sent, int version, int type, const void* bytes, std::size_t size, SSL* session,
                        void* watches);
  void NoteCertificate(const X509* certificate);
  void NoteAlert(const unsigned char* alert);
  void CountRecord(const unsigned char* header);
  static void CountHandshakeMessage(TlsWatch* watch, SSL* session);

  ByContext& watches_;
  Response& response_;
  const SSL_CTX* context_ = nullptr;
  int handshake_messages_ = 0;
  std::uint64_t response_bytes_ = 0;
  TlsFacts facts_;
};

}  // namespace postcall::http
