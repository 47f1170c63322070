// Chain, name and version are verified, and no setting switches that off (CONTRACT §2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

using ::testing::HasSubstr;

EndpointOptions With(Certificate certificate, int lowest = 0, int highest = 0) {
  return {.tls = TlsOptions{std::move(certificate), lowest, highest}, .on_request = {}};
}

DeliveryResult PostTo(const EndpointOptions& options) {
  HostileEndpoint endpoint(options);
  Poster poster;
  DeliveryResult result = poster.Send(endpoint.Url()).result;
  EXPECT_EQ(endpoint.ledger().RequestCount(), 0U);
  return result;
}

void ExpectTlsError(const DeliveryResult& result, const std::string& why) {
  EXPECT_EQ(result.outcome, Outcome::kTlsError);
  EXPECT_EQ(result.reached, Reached::kConnected);
  EXPECT_EQ(result.remote_address, "127.0.0.1");
  EXPECT_EQ(result.request_bytes, 0);
  EXPECT_THAT(result.error, HasSubstr(why));
  EXPECT_TRUE(result.times.connect);
  EXPECT_EQ(result.times.tls, std::nullopt);
}

TEST(Tls, AGoodCertificateIsAcceptedAndItsEndIsRecorded) {
  const Certificate certificate = Authority().Issue({"127.0.0.1"});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    HostileEndpoint endpoint(With(certificate, version, version));
    Poster poster;
    const DeliveryResult first = poster.Send(endpoint.Url()).result;
    EXPECT_EQ(first.outcome, Outcome::kDelivered) << first.error;
    EXPECT_EQ(first.certificate_ends_at, certificate.ends_at);
    ASSERT_TRUE(first.times.tls && first.times.connect);
    EXPECT_GT(*first.times.tls, 0);
    const DeliveryResult second = poster.Send(endpoint.Url()).result;
    EXPECT_EQ(second.connection_reused, true);
    EXPECT_EQ(second.certificate_ends_at, certificate.ends_at);
    EXPECT_EQ(second.times.tls, std::nullopt);
  }
}

TEST(Tls, ASelfSignedCertificateIsRefused) {
  const Certificate certificate = CertificateAuthority::SelfSigned({"127.0.0.1"});
  const DeliveryResult result = PostTo(With(certificate));
  ExpectTlsError(result, "self-signed certificate");
  EXPECT_EQ(result.certificate_ends_at, certificate.ends_at);
}

TEST(Tls, AnAuthorityOutsideTheBundleIsRefused) {
  const CertificateAuthority other;
  ExpectTlsError(PostTo(With(other.Issue({"127.0.0.1"}))), "unable to get local issuer certificate");
}

TEST(Tls, AnExpiredCertificateIsRefusedAndItsEndIsRecorded) {
  const Certificate certificate = Authority().Issue({"127.0.0.1"}, Validity::Expired());
  const DeliveryResult result = PostTo(With(certificate));
  ExpectTlsError(result, "certificate has expired");
  EXPECT_EQ(result.certificate_ends_at, certificate.ends_at);
}

TEST(Tls, ACertificateThatIsNotYetValidIsRefused) {
  ExpectTlsError(PostTo(With(Authority().Issue({"127.0.0.1"}, Validity::Future()))), "not yet valid");
}

TEST(Tls, ACertificateForAnotherNameIsRefused) {
  const DeliveryResult result = PostTo(With(Authority().Issue({"example.com", "127.0.0.2"})));
  ExpectTlsError(result, "subject name");
  EXPECT_EQ(result.error.find("127.0.0.1"), std::string::npos) << "an internal address in " << result.error;
}

TEST(Tls, VersionsBefore12AreRefused) {
  ExpectTlsError(PostTo(With(Authority().Issue({"127.0.0.1"}), 0, TLS1_1_VERSION)), "");
}

// As Debian configures OpenSSL, it refuses these versions itself. Here it is configured to accept them, in a
// new process, because OpenSSL reads its configuration only at the start.
TEST(TlsDeathTest, VersionsBefore12AreRefusedEvenWhenOpenSslWouldAcceptThem) {
  const std::filesystem::path file = Authority().ca_file().parent_path() / "openssl.cnf";
  std::ofstream(file) << "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = lax\n"
                         "[lax]\nMinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n";
  ::setenv("OPENSSL_CONF", file.c_str(), 1);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const DeliveryResult result = PostTo(With(Authority().Issue({"127.0.0.1"}), 0, TLS1_1_VERSION));
        std::exit(result.outcome == Outcome::kTlsError ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  ::unsetenv("OPENSSL_CONF");
}

// In TLS 1.2 the handshake fails. In 1.3 our side of the handshake is over when the alert arrives, and the
// request may have been sent already.
TEST(Tls, AnEndpointThatDemandsAClientCertificateHasAnErrorOfItsOwn) {
  EndpointOptions older = With(Authority().Issue({"127.0.0.1"}), TLS1_2_VERSION, TLS1_2_VERSION);
  older.tls->demands_client_certificate = true;
  const DeliveryResult in_handshake = PostTo(older);
  ExpectTlsError(in_handshake, "The endpoint demands a client certificate (TLS alert handshake failure).");

  EndpointOptions newer = With(Authority().Issue({"127.0.0.1"}), TLS1_3_VERSION, TLS1_3_VERSION);
  newer.tls->demands_client_certificate = true;
  const DeliveryResult after_request = PostTo(newer);
  EXPECT_EQ(after_request.outcome, Outcome::kNetworkError);
  EXPECT_EQ(after_request.reached, Reached::kRequestSent);
  EXPECT_EQ(after_request.times.first_byte, std::nullopt);
  EXPECT_EQ(after_request.error,
            "The endpoint demands a client certificate (TLS alert certificate required).");
}

TEST(Tls, AnyOtherAlertIsReportedByItsName) {
  const std::map<int, std::string> alerts = {
      {49, "access denied"}, {80, "internal error"}, {112, "unrecognized name"}};
  for (const auto& [alert, name] : alerts) {
    EndpointOptions options = With(Authority().Issue({"127.0.0.1"}));
    options.tls->alert = alert;
    ExpectTlsError(PostTo(options),
                   "The TLS handshake failed: the endpoint sent the TLS alert " + name + ".");
  }
}

// The server chooses their cost, up to half a second each, and every delivery of the loop would wait.
TEST(Tls, KeyExchangesOverFiniteFieldsAreRefused) {
  const Certificate rsa = Authority().Issue({"127.0.0.1"}, Validity::Current(), KeyKind::kRsa);
  EndpointOptions older = With(rsa, TLS1_2_VERSION, TLS1_2_VERSION);
  older.tls->ciphers = "DHE";
  ExpectTlsError(PostTo(older), "handshake failure");
  EndpointOptions newer = With(rsa, TLS1_3_VERSION, TLS1_3_VERSION);
  newer.tls->groups = "ffdhe2048";
  ExpectTlsError(PostTo(newer), "handshake failure");
}

TEST(Tls, KeyExchangesOverTheUsualCurvesAreAccepted) {
  const Certificate rsa = Authority().Issue({"127.0.0.1"}, Validity::Current(), KeyKind::kRsa);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* curve : {"X25519", "P-256", "P-384", "P-521"}) {
      EndpointOptions options = With(rsa, version, version);
      options.tls->groups = curve;
      HostileEndpoint endpoint(options);
      const DeliveryResult result = Poster().Send(endpoint.Url()).result;
      EXPECT_EQ(result.outcome, Outcome::kDelivered) << curve << ": " << result.error;
    }
  }
}

// OpenSSL itself would accept three times as many, and need 34 ms for them.
TEST(Tls, CertificatesOfMoreThan32KiBTogetherAreRefused) {
  const Certificate certificate = Authority().Issue({"127.0.0.1"});
  const std::string other = CertificateAuthority::SelfSigned({"127.0.0.1"}).certificate_pem;
  const auto with_others = [&](std::size_t pem_bytes) {
    Certificate chain = certificate;
    while (chain.certificate_pem.size() < pem_bytes) chain.certificate_pem += other;
    return With(chain);
  };
  ExpectTlsError(PostTo(with_others(50'000)), "excessive message size");
  HostileEndpoint long_chain(with_others(40'000));  // 30,000 bytes without base64
  EXPECT_EQ(Poster().Send(long_chain.Url()).result.outcome, Outcome::kDelivered);
}

TEST(Tls, PlainTextOnATlsPortIsATlsError) {
  HostileEndpoint endpoint;
  endpoint.OnConnection({.at_accept = Send("HTTP/1.1 400 Bad Request\r\n\r\n") + Close()});
  Poster poster;
  ExpectTlsError(poster.Send("https://127.0.0.1:" + std::to_string(endpoint.port()) + "/").result, "");
}

TEST(Tls, AConnectionThatBreaksInTheHandshakeIsATlsError) {
  for (const auto& ending : {Close(), Reset()}) {
    HostileEndpoint endpoint(With(Authority().Issue({"127.0.0.1"})));
    endpoint.OnConnection({.at_accept = AwaitBytes() + ending});
    Poster poster;
    ExpectTlsError(poster.Send(endpoint.Url()).result, "");
  }
}

TEST(Tls, ATruncatedConnectionIsNoCompleteAnswer) {
  HostileEndpoint endpoint(With(Authority().Issue({"127.0.0.1"})));
  endpoint.Otherwise(Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab") + Cut());
  Poster poster;
  const DeliveryResult result = poster.Send(endpoint.Url()).result;
  EXPECT_EQ(result.outcome, Outcome::kNetworkError);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
}

// Each byte of the body takes thirty bytes on the wire.
TEST(Tls, EachByteOfAnAnswerMayComeInARecordOfItsOwn) {
  constexpr int kBytes = 20'000;
  std::string chunks;
  for (int i = 0; i < kBytes; ++i) chunks += "1\r\na\r\n";
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    HostileEndpoint endpoint(With(Authority().Issue({"127.0.0.1"}), version, version));
    endpoint.Otherwise(Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") + Drip(chunks, 0ms, 6) +
                       Send("0\r\n\r\n"));
    const DeliveryResult result = Poster().Send(endpoint.Url()).result;
    EXPECT_EQ(result.outcome, Outcome::kDelivered) << result.error;
    EXPECT_EQ(result.response_bytes, kBytes);
  }
}

TEST(Tls, ALostRequestOnAKeptConnectionIsNotSentAgain) {
  HostileEndpoint endpoint(With(Authority().Issue({"127.0.0.1"})));
  endpoint.Otherwise(
      [](const RequestEntry& request) { return request.on_connection == 0 ? Respond(200) : Close(); });
  Poster poster;
  poster.Send(endpoint.Url("/first"));
  const DeliveryResult lost = poster.Send(endpoint.Url("/second")).result;
  EXPECT_EQ(lost.outcome, Outcome::kNetworkError);
  EXPECT_EQ(lost.reached, Reached::kRequestSent);
  EXPECT_EQ(poster.metrics().resend_guard.Value(), 1);
  poster.Send(endpoint.Url("/third"));
  EXPECT_EQ(endpoint.ledger().RequestCount(), 3U);
}

TEST(Tls, ABundleThatCannotBeReadIsRefusedAtOnceAndTheErrorSaysWhatToDo) {
  try {
    Poster poster({.ca_file = "/nonexistent.pem"});
    FAIL() << "accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("--ca-file"));
  }
}

TEST(Tls, TheBundleOfTheSystemIsTheDefault) {
  boost::asio::io_context loop;
  metrics::Metrics metrics;
  const egress::Policy policy = LoopbackAllowed();
  http::Reachability reachability;
  http::Engine engine(loop, policy, reachability, metrics, {});
  HostileEndpoint endpoint(With(Authority().Issue({"127.0.0.1"})));
  std::optional<http::PostResult> post;
  engine.Post(Request(endpoint.Url()), [&](http::PostResult result) { post = result; });
  while (!post) loop.run_one();
  EXPECT_EQ(post->result.outcome, Outcome::kTlsError);
}

}  // namespace
}  // namespace postcall::test
