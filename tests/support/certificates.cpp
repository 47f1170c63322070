#include "tests/support/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "common/handle.h"

namespace postcall::test {
namespace {

using Key = Handle<EVP_PKEY, EVP_PKEY_free>;
using X509Handle = Handle<X509, X509_free>;
using Time = Handle<ASN1_TIME, ASN1_TIME_free>;

void Check(bool succeeded, const char* what) {
  if (!succeeded) throw std::runtime_error(std::string("cannot make a certificate: ") + what);
}

Key MakeKey(KeyKind kind = KeyKind::kP256) {
  Key key(kind == KeyKind::kRsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
  Check(key != nullptr, "key");
  return key;
}

std::string ToPem(int (*write)(BIO*, const void*), const void* object) {
  const Handle<BIO, BIO_free_all> bio(BIO_new(BIO_s_mem()));
  Check(write(bio.get(), object) == 1, "PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

std::string ToPem(const X509& certificate) {
  return ToPem([](BIO* bio, const void* x) { return PEM_write_bio_X509(bio, static_cast<const X509*>(x)); },
               &certificate);
}

std::string ToPem(const EVP_PKEY& key) {
  return ToPem(
      [](BIO* bio, const void* k) {
        return PEM_write_bio_PrivateKey(bio, static_cast<const EVP_PKEY*>(k), nullptr, nullptr, 0, nullptr,
                                        nullptr);
      },
      &key);
}

void AddExtension(X509& certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, &certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const Handle<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, kind, value.c_str()));
  Check(extension != nullptr && X509_add_ext(&certificate, extension.get(), -1) == 1, "extension");
}

std::string AlternativeNames(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    boost::system::error_code no_address;
    boost::asio::ip::make_address(name, no_address);
    list += (list.empty() ? "" : ",") + std::string(no_address ? "DNS:" : "IP:") + name;
  }
  return list;
}

// Everything but extensions and signature.
X509Handle Begin(EVP_PKEY& key, const std::string& common_name, const Validity& validity) {
  X509Handle made(X509_new());
  X509_set_version(made.get(), X509_VERSION_3);
  std::uint64_t serial = 0;
  unsigned char random[7];
  Check(RAND_bytes(random, sizeof random) == 1, "serial");
  for (const unsigned char byte : random) serial = serial << 8 | byte;
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.get()), serial);
  const Time begins(ASN1_TIME_set(nullptr, validity.begins_at.time_since_epoch().count()));
  const Time ends(ASN1_TIME_set(nullptr, validity.ends_at.time_since_epoch().count()));
  X509_set1_notBefore(made.get(), begins.get());
  X509_set1_notAfter(made.get(), ends.get());
  std::string bytes = common_name;
  Check(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()), -1, 0) == 1,
        "subject");
  X509_set_pubkey(made.get(), &key);
  return made;
}

// Signed by `issuer` with its key, or by itself when there is none.
Certificate MakeLeaf(const std::vector<std::string>& names, const Validity& validity, KeyKind kind,
                     X509* issuer, EVP_PKEY* issuer_key) {
  if (names.empty()) throw std::invalid_argument("a certificate needs a name");
  const Key key = MakeKey(kind);
  const X509Handle leaf = Begin(*key, names.front().substr(0, 64), validity);
  X509* const signer = issuer != nullptr ? issuer : leaf.get();
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(signer));
  AddExtension(*leaf, signer, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(*leaf, signer, NID_ext_key_usage, "serverAuth");
  AddExtension(*leaf, signer, NID_subject_alt_name, AlternativeNames(names));
  Check(X509_sign(leaf.get(), issuer_key != nullptr ? issuer_key : key.get(), EVP_sha256()) > 0, "signature");
  return {.certificate_pem = ToPem(*leaf), .key_pem = ToPem(*key), .ends_at = validity.ends_at};
}

std::chrono::sys_seconds Now() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

Validity Validity::Current() { return {Now() - std::chrono::hours(24), Now() + std::chrono::hours(30 * 24)}; }
Validity Validity::Expired() { return {Now() - std::chrono::hours(24), Now() - std::chrono::hours(1)}; }
Validity Validity::Future() { return {Now() + std::chrono::hours(1), Now() + std::chrono::hours(24)}; }

struct CertificateAuthority::Keys {
  Key key;
  X509Handle certificate;
};

CertificateAuthority::CertificateAuthority() : keys_(std::make_unique<Keys>()) {
  keys_->key = MakeKey();
  // A random name keeps two authorities of one run apart.
  unsigned char random[4];
  Check(RAND_bytes(random, sizeof random) == 1, "name");
  std::string name = "Test authority";
  for (const unsigned char byte : random) name += " " + std::to_string(byte);
  keys_->certificate = Begin(*keys_->key, name, Validity::Current());
  X509& own = *keys_->certificate;
  X509_set_issuer_name(&own, X509_get_subject_name(&own));
  AddExtension(own, &own, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(own, &own, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(own, &own, NID_subject_key_identifier, "hash");
  Check(X509_sign(&own, keys_->key.get(), EVP_sha256()) > 0, "signature");

  std::string folder = (std::filesystem::temp_directory_path() / "postcall-ca-XXXXXX").string();
  Check(::mkdtemp(folder.data()) != nullptr, "temporary folder");
  folder_ = folder;
  ca_file_ = folder_ / "ca.pem";
  std::ofstream file(ca_file_);
  file << ToPem(own);
  file.close();
  Check(file.good(), "bundle file");
}

CertificateAuthority::~CertificateAuthority() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Certificate CertificateAuthority::Issue(const std::vector<std::string>& names, Validity validity,
                                        KeyKind kind) const {
  return MakeLeaf(names, validity, kind, keys_->certificate.get(), keys_->key.get());
}

Certificate CertificateAuthority::SelfSigned(const std::vector<std::string>& names, Validity validity) {
  return MakeLeaf(names, validity, KeyKind::kP256, nullptr, nullptr);
}

}  // namespace postcall::test
