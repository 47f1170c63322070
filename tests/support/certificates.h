// Certificates that a test makes when it runs, so that no key is in the repository and no certificate
// expires. Any thread, after the constructor.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace postcall::test {

// A leaf certificate with its key, both as PEM.
struct Certificate {
  std::string certificate_pem;
  std::string key_pem;
  std::chrono::sys_seconds ends_at;
};

struct Validity {
  std::chrono::sys_seconds begins_at;
  std::chrono::sys_seconds ends_at;

  static Validity Current();  // from yesterday for 30 days
  static Validity Expired();  // ended an hour ago
  static Validity Future();   // begins in an hour
};

enum class KeyKind { kP256, kRsa };

// A certificate authority for one test. A program that is given `ca_file` trusts it; the file exists as long
// as this object.
class CertificateAuthority {
 public:
  CertificateAuthority();
  ~CertificateAuthority();
  CertificateAuthority(const CertificateAuthority&) = delete;
  CertificateAuthority& operator=(const CertificateAuthority&) = delete;

  // `names` are DNS names (wildcards too) and IP addresses; both become subject alternative names.
  Certificate Issue(const std::vector<std::string>& names, Validity validity = Validity::Current(),
                    KeyKind kind = KeyKind::kP256) const;

  // The authority's own certificate in a bundle, for --ca-file.
  const std::filesystem::path& ca_file() const { return ca_file_; }

  // A certificate that no authority has signed.
  static Certificate SelfSigned(const std::vector<std::string>& names,
                                Validity validity = Validity::Current());

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::filesystem::path folder_;
  std::filesystem::path ca_file_;
};

}  // namespace postcall::test
