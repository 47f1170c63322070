// The trusted certificate authorities, parsed once for all connections of an engine. libcurl would parse the
// bundle once per multi handle, which costs about 50 ms of the loop's time and a megabyte of memory each
// time. One thread.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "common/handle.h"

namespace postcall::http {

// `file`, or, when it is empty, the bundle that libcurl was built for.
std::string CaFile(const std::string& file);

class CaStore {
 public:
  // Reads the PEM bundle CaFile(file). Throws std::runtime_error with a message that says what to do.
  explicit CaStore(const std::string& file);

  // A certificate that a peer shows on a connection of this context must lead to one of these authorities.
  void Use(SSL_CTX* context) const;

 private:
  Handle<X509_STORE, X509_STORE_free> store_;
};

}  // namespace postcall::http
