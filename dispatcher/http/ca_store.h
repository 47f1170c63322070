// The certificate authorities that are trusted, parsed once for all connections of an engine: libcurl would
// parse the bundle for each multi handle, some 50 ms of the loop's time and a megabyte a piece. One thread.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "common/handle.h"

namespace postcall::http {

class CaStore {
 public:
  // Reads a PEM bundle; the one that libcurl was built for when `file` is empty. Throws std::runtime_error
  // with a message that names the mend.
  explicit CaStore(const std::string& file);

  // What a peer shows on a connection of this context must lead to one of these authorities.
  void Use(SSL_CTX* context) const;

 private:
  Handle<X509_STORE, X509_STORE_free> store_;
};

}  // namespace postcall::http
