#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include "tests/support/certificates.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::EndsWith;
using testing::StartsWith;

// A client that trusts only `authority` and expects `name`.
class TlsClient {
 public:
  TlsClient(const HostileEndpoint& endpoint, const CertificateAuthority& authority, const std::string& name,
            bool takes_old_versions = false) {
    if (takes_old_versions) {
      SSL_set_min_proto_version(stream_.native_handle(), TLS1_VERSION);
      SSL_set_cipher_list(stream_.native_handle(), "ALL:@SECLEVEL=0");
    }
    context_.load_verify_file(authority.ca_file());
    stream_.set_verify_mode(ssl::verify_peer);
    X509_VERIFY_PARAM* const expected = SSL_get0_param(stream_.native_handle());
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str()) != 1) {
      X509_VERIFY_PARAM_set1_host(expected, name.data(), name.size());
    }
    std::string server_name = name;
    SSL_ctrl(stream_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             server_name.data());
    stream_.lowest_layer().connect({asio::ip::make_address("127.0.0.1"), endpoint.port()});
    stream_.handshake(ssl::stream_base::client, failed_);
  }

  error_code failed() const { return failed_; }
  long verdict() { return SSL_get_verify_result(stream_.native_handle()); }
  std::string Exchange(const std::string& request) {
    asio::write(stream_, asio::buffer(request));
    std::string text;
    std::array<char, 4096> piece{};
    while (!failed_) text.append(piece.data(), stream_.read_some(asio::buffer(piece), failed_));
    return text;
  }

 private:
  asio::io_context loop_;
  ssl::context context_{ssl::context::tls_client};
  ssl::stream<tcp::socket> stream_{loop_, context_};
  error_code failed_;
};

HostileEndpoint MakeEndpoint(Certificate certificate, int highest = 0) {
  EndpointOptions options;
  options.tls = TlsOptions{.certificate = std::move(certificate), .highest_version = highest};
  return HostileEndpoint(std::move(options));
}

const std::string kLastPost = "POST / HTTP/1.1\r\nConnection: close\r\n\r\n";

TEST(TlsEndpoint, ProvesItsNameToAClientThatTrustsItsAuthority) {
  const CertificateAuthority authority;
  HostileEndpoint endpoint = MakeEndpoint(authority.Issue({"hook.example", "127.0.0.1"}));
  TlsClient client(endpoint, authority, "hook.example");
  ASSERT_FALSE(client.failed()) << client.failed().message();
  EXPECT_THAT(client.Exchange(kLastPost), EndsWith("\r\n\r\nok"));
  EXPECT_EQ(client.failed(), asio::error::eof);  // close_notify came
  EXPECT_EQ(endpoint.ledger().Connections()[0].server_name, "hook.example");
  EXPECT_THAT(endpoint.Url("/x", "hook.example"), StartsWith("https://hook.example:"));

  TlsClient by_address(endpoint, authority, "127.0.0.1");
  EXPECT_FALSE(by_address.failed());
}

TEST(TlsEndpoint, ShowsInvalidCertificates) {
  const CertificateAuthority authority;
  const CertificateAuthority stranger;
  const auto verdict = [&](Certificate certificate, const std::string& name) {
    HostileEndpoint endpoint = MakeEndpoint(std::move(certificate));
    TlsClient client(endpoint, authority, name);
    EXPECT_TRUE(client.failed());
    EXPECT_TRUE(endpoint.ledger().WaitFor(
        [](const auto&, const auto& connections) { return connections[0].tls_error.has_value(); },
        seconds(20)));
    return client.verdict();
  };
  EXPECT_EQ(verdict(authority.Issue({"a.example"}, Validity::Expired()), "a.example"),
            X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(verdict(authority.Issue({"a.example"}, Validity::Future()), "a.example"),
            X509_V_ERR_CERT_NOT_YET_VALID);
  EXPECT_EQ(verdict(CertificateAuthority::SelfSigned({"a.example"}), "a.example"),
            X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
  EXPECT_EQ(verdict(stranger.Issue({"a.example"}), "a.example"),
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  EXPECT_EQ(verdict(authority.Issue({"a.example"}), "b.example"), X509_V_ERR_HOSTNAME_MISMATCH);
}

TEST(TlsEndpoint, SpeaksOldTlsOnlyWhenTold) {
  const CertificateAuthority authority;
  HostileEndpoint endpoint = MakeEndpoint(authority.Issue({"a.example"}), TLS1_1_VERSION);
  EXPECT_TRUE(TlsClient(endpoint, authority, "a.example").failed());
  EXPECT_FALSE(TlsClient(endpoint, authority, "a.example", true).failed());
}

TEST(TlsEndpoint, DripsItsHandshake) {
  const CertificateAuthority authority;
  HostileEndpoint endpoint = MakeEndpoint(authority.Issue({"a.example"}));
  endpoint.OnConnection({.handshake_drip = milliseconds(1)});
  const auto began = Steady::now();
  TlsClient client(endpoint, authority, "a.example");
  EXPECT_FALSE(client.failed());
  EXPECT_GE(Steady::now() - began, milliseconds(300));  // a handshake has more bytes than that
  EXPECT_THAT(client.Exchange(kLastPost), EndsWith("ok"));
}

TEST(TlsEndpoint, SpeaksPlainTextOnATlsPort) {
  const CertificateAuthority authority;
  HostileEndpoint endpoint = MakeEndpoint(authority.Issue({"a.example"}));
  endpoint.OnConnection({.at_accept = Respond(400) + Close()});
  EXPECT_TRUE(TlsClient(endpoint, authority, "a.example").failed());
}

TEST(TlsEndpoint, CutsWithoutCloseNotify) {
  const CertificateAuthority authority;
  HostileEndpoint endpoint = MakeEndpoint(authority.Issue({"a.example"}));
  endpoint.Otherwise(Send("HTTP/1.1 200 OK\r\n\r\nhalf") + Cut());
  TlsClient client(endpoint, authority, "a.example");
  EXPECT_THAT(client.Exchange(kLastPost), EndsWith("half"));
  EXPECT_EQ(client.failed(), ssl::error::stream_truncated);
}

}  // namespace
}  // namespace postcall::test
