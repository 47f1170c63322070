#include "dispatcher/http/ca_store.h"

#include <curl/curl.h>
#include <openssl/err.h>

#include <new>
#include <stdexcept>

namespace postcall::http {

std::string CaFile(const std::string& file) {
  if (!file.empty()) return file;
  const char* bundle = curl_version_info(CURLVERSION_NOW)->cainfo;
  return bundle == nullptr ? "/etc/ssl/certs/ca-certificates.crt" : bundle;
}

CaStore::CaStore(const std::string& file) : store_(X509_STORE_new()) {
  if (!store_) throw std::bad_alloc();
  const std::string path = CaFile(file);
  if (X509_STORE_load_file(store_.get(), path.c_str()) != 1) {
    ERR_clear_error();
    throw std::runtime_error("cannot read certificates from " + path +
                             ": --ca-file must name a readable bundle in PEM format");
  }
  // As libcurl does: an intermediate certificate in the bundle is trusted like a root.
  X509_STORE_set_flags(store_.get(), X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
}

void CaStore::Use(SSL_CTX* context) const { SSL_CTX_set1_cert_store(context, store_.get()); }

}  // namespace postcall::http
