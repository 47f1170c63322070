#include "dispatcher/http/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace postcall::http {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;

constexpr char kAddress[] = "192.0.2.7";
constexpr TlsAlert kHandshakeFailure = 40;

AttemptFacts Connecting() {
  AttemptFacts attempt;
  attempt.address = boost::asio::ip::make_address(kAddress);
  return attempt;
}

AttemptFacts Connected() {
  AttemptFacts attempt = Connecting();
  attempt.connected_at = Steady::now();
  return attempt;
}

AttemptFacts Sent() {
  AttemptFacts attempt = Connected();
  attempt.ready_at = Steady::now();
  attempt.sent_at = Steady::now();
  attempt.state = AttemptState::kSent;
  attempt.response.state = ResponseState::kStatusLine;
  return attempt;
}

AttemptFacts Answered(int status) {
  AttemptFacts attempt = Sent();
  attempt.response.state = ResponseState::kBody;
  attempt.response.first_byte_at = Steady::now();
  attempt.response.body = "body";
  attempt.response.body_bytes = 4;
  attempt.http_status = status;
  return attempt;
}

TEST(Verdict, OfEachCompleteResponseWithA2xxIsDelivered) {
  for (const int status : {200, 204, 299}) {
    const DeliveryResult result = JudgeEnd(Answered(status), CURLE_OK).result;
    EXPECT_EQ(result.outcome, Outcome::kDelivered);
    EXPECT_EQ(result.reached, Reached::kResponseComplete);
    EXPECT_EQ(result.http_status, status);
    EXPECT_EQ(result.response_body, "body");
    EXPECT_EQ(result.remote_address, kAddress);
    EXPECT_EQ(result.error, "");
  }
}

TEST(Verdict, OfAnyOtherStatusIsRejected) {
  EXPECT_EQ(JudgeEnd(Answered(500), CURLE_OK).result.error, "The endpoint answered with status 500.");
  EXPECT_EQ(JudgeEnd(Answered(304), CURLE_OK).result.error, "The endpoint answered with status 304.");
  const DeliveryResult moved = JudgeEnd(Answered(301), CURLE_OK).result;
  EXPECT_EQ(moved.outcome, Outcome::kRejected);
  EXPECT_EQ(moved.error, "The endpoint answered with status 301; redirects are not followed.");
}

TEST(Verdict, OfABodyThatWasCutIsTheStatusAndSaysSo) {
  AttemptFacts attempt = Answered(200);
  attempt.response.state = ResponseState::kBodyCut;
  const DeliveryResult result = JudgeEnd(attempt, CURLE_WRITE_ERROR).result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
  EXPECT_TRUE(result.response_truncated);
}

TEST(Verdict, OfAResponseThatCameBeforeTheWholeRequestIsTheStatus) {
  AttemptFacts attempt = Answered(413);
  attempt.response.state = ResponseState::kComplete;
  const DeliveryResult result = JudgeEnd(attempt, CURLE_SEND_ERROR).result;
  EXPECT_EQ(result.outcome, Outcome::kRejected);
  EXPECT_EQ(result.reached, Reached::kResponseComplete);
}

// libcurl reports success for it.
TEST(Verdict, OfAConnectionThatEndsWithinTheHeadIsALostConnection) {
  AttemptFacts attempt = Answered(200);
  attempt.response.state = ResponseState::kHeaders;
  const DeliveryResult result = JudgeEnd(attempt, CURLE_OK).result;
  EXPECT_EQ(result.outcome, Outcome::kNetworkError);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
  EXPECT_EQ(result.error, "The connection was closed before the answer was complete.");
}

TEST(Verdict, OfALostConnectionSaysWhetherAnAnswerCame) {
  AttemptFacts attempt = Sent();
  DeliveryResult result = JudgeEnd(attempt, CURLE_RECV_ERROR).result;
  EXPECT_EQ(result.outcome, Outcome::kNetworkError);
  EXPECT_EQ(result.reached, Reached::kRequestSent);
  EXPECT_EQ(result.error, "The connection was lost before an answer came.");
  attempt.response.first_byte_at = Steady::now();
  result = JudgeEnd(attempt, CURLE_RECV_ERROR).result;
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
  EXPECT_EQ(result.error, "The connection was lost before the answer was complete.");
}

TEST(Verdict, OfASecondSendThatWasStoppedIsThatOfTheFirst) {
  AttemptFacts attempt = Sent();
  attempt.state = AttemptState::kSecondStopped;
  const DeliveryResult result = JudgeEnd(attempt, CURLE_ABORTED_BY_CALLBACK).result;
  EXPECT_EQ(result.outcome, Outcome::kNetworkError);
  EXPECT_EQ(result.reached, Reached::kRequestSent);
}

TEST(Verdict, OfAResponseThatCannotBeReadSaysWhy) {
  AttemptFacts attempt = Answered(200);
  const auto error_of = [&](ResponseState state, CURLcode code, const std::string& text = "") {
    attempt.response.state = state;
    attempt.error_text = text;
    return JudgeEnd(attempt, code).result.error;
  };
  EXPECT_EQ(error_of(ResponseState::kTooManyHeaders, CURLE_WRITE_ERROR),
            "The answer had more than 64 KiB of headers.");
  EXPECT_EQ(error_of(ResponseState::kNotHttp, CURLE_WRITE_ERROR), "The answer was not HTTP.");
  EXPECT_EQ(error_of(ResponseState::kSwitched, CURLE_WRITE_ERROR), "The answer was not HTTP.");
  EXPECT_EQ(
      error_of(ResponseState::kBody, CURLE_RECV_ERROR, "Illegal or missing hexadecimal in chunked-encoding"),
      "The answer was malformed: Illegal or missing hexadecimal in chunked-encoding.");
  attempt.http_status = std::nullopt;
  EXPECT_EQ(error_of(ResponseState::kStatusLine, CURLE_UNSUPPORTED_PROTOCOL), "The answer was not HTTP.");
}

TEST(Verdict, OfAForbiddenAddressIsBlockedAndNamesNoAddress) {
  AttemptFacts attempt = Connecting();
  attempt.state = AttemptState::kForbidden;
  const DeliveryResult result = JudgeEnd(attempt, CURLE_COULDNT_CONNECT).result;
  EXPECT_EQ(result.outcome, Outcome::kBlocked);
  EXPECT_EQ(result.reached, Reached::kNothing);
  EXPECT_EQ(result.error.find(kAddress), std::string::npos);
}

TEST(Verdict, OfAFaultOfThisMachineIsNotSent) {
  const auto fault_of = [](int error) {
    AttemptFacts attempt = Connecting();
    attempt.system_error = error;
    const PostResult post = JudgeEnd(attempt, CURLE_COULDNT_CONNECT);
    if (post.fault) {
      EXPECT_EQ(post.result.outcome, Outcome::kNotSent);
    }
    return post.fault;
  };
  EXPECT_EQ(fault_of(EMFILE), LocalFault::kDescriptors);
  EXPECT_EQ(fault_of(ENOBUFS), LocalFault::kMemory);
  EXPECT_EQ(fault_of(EADDRNOTAVAIL), LocalFault::kPorts);
  EXPECT_EQ(fault_of(ECONNREFUSED), std::nullopt);
  EXPECT_EQ(JudgeEnd(Connecting(), CURLE_OUT_OF_MEMORY).fault, LocalFault::kMemory);
}

TEST(Verdict, OfAnIpv6AddressWithoutASourceAddressIsAMissingRouteRatherThanAMissingPort) {
  AttemptFacts attempt = Connecting();
  attempt.address = boost::asio::ip::make_address("2001:db8::7");
  attempt.system_error = EADDRNOTAVAIL;
  attempt.route = Route::kLost;
  EXPECT_EQ(JudgeEnd(attempt, CURLE_COULDNT_CONNECT).fault, std::nullopt);
  EXPECT_EQ(JudgeEnd(attempt, CURLE_COULDNT_CONNECT).sign, NetworkSign::kNoRoute);
  attempt.route = Route::kExists;
  EXPECT_EQ(JudgeEnd(attempt, CURLE_COULDNT_CONNECT).fault, LocalFault::kPorts);
}

TEST(Verdict, OfAFailedConnectIsASignOfOurNetworkOnlyWithoutARouteOrAnAnswer) {
  const auto sign_of = [](int error, Route route) {
    AttemptFacts attempt = Connecting();
    attempt.system_error = error;
    attempt.route = route;
    const PostResult post = JudgeEnd(attempt, CURLE_COULDNT_CONNECT);
    EXPECT_EQ(post.result.outcome, Outcome::kConnectError);
    EXPECT_EQ(post.result.reached, Reached::kNothing);
    return post.sign;
  };
  EXPECT_EQ(sign_of(ECONNREFUSED, Route::kNotAsked), NetworkSign::kNone);
  EXPECT_EQ(sign_of(ETIMEDOUT, Route::kNotAsked), NetworkSign::kSilence);
  EXPECT_EQ(sign_of(EHOSTUNREACH, Route::kExists), NetworkSign::kSilence);
  EXPECT_EQ(sign_of(ENETUNREACH, Route::kLost), NetworkSign::kNoRoute);
  EXPECT_EQ(sign_of(ENETUNREACH, Route::kNever), NetworkSign::kNone);
}

TEST(Verdict, OfAFailedHandshakeNamesTheEndpointsAlert) {
  AttemptFacts attempt = Connected();
  attempt.error_text = "OpenSSL error with 192.0.2.7.\n";
  DeliveryResult result = JudgeEnd(attempt, CURLE_SSL_CONNECT_ERROR).result;
  EXPECT_EQ(result.outcome, Outcome::kTlsError);
  EXPECT_EQ(result.reached, Reached::kConnected);
  EXPECT_THAT(result.error, HasSubstr("OpenSSL error with the endpoint"));

  attempt.tls.alert = kHandshakeFailure;
  result = JudgeEnd(attempt, CURLE_SSL_CONNECT_ERROR).result;
  EXPECT_EQ(result.error, "The TLS handshake failed: the endpoint sent the TLS alert handshake failure.");
  attempt.tls.certificate_requested = true;
  result = JudgeEnd(attempt, CURLE_SSL_CONNECT_ERROR).result;
  EXPECT_EQ(result.error, "The endpoint demands a client certificate (TLS alert handshake failure).");
}

TEST(Verdict, OfATimeoutSaysHowFarItGot) {
  const auto error_of = [](const AttemptFacts* attempt, TimeoutIn step) {
    const PostResult post = JudgeTimeout(attempt, step, 1500ms);
    EXPECT_EQ(post.result.outcome, Outcome::kTimeout);
    return post.result.error;
  };
  const AttemptFacts connecting = Connecting();
  const AttemptFacts connected = Connected();
  const AttemptFacts sent = Sent();
  const AttemptFacts answered = Answered(200);
  EXPECT_EQ(error_of(nullptr, TimeoutIn::kLookup), "The host name was not looked up within 1.5 s.");
  EXPECT_EQ(error_of(nullptr, TimeoutIn::kWait), "No connection was made within 1.5 s.");
  EXPECT_EQ(error_of(&connecting, TimeoutIn::kAttempt), "No connection was made within 1.5 s.");
  EXPECT_EQ(error_of(&connected, TimeoutIn::kAttempt), "The TLS handshake did not end within 1.5 s.");
  EXPECT_EQ(error_of(&connected, TimeoutIn::kWait), "The connection was not ready within 1.5 s.");
  EXPECT_EQ(error_of(&sent, TimeoutIn::kAttempt), "No answer came within 1.5 s.");
  EXPECT_EQ(error_of(&answered, TimeoutIn::kAttempt), "The answer was not complete within 1.5 s.");
}

TEST(Verdict, OfATimeoutIsASignOfOurNetworkOnlyWhenNothingWasReached) {
  const AttemptFacts connecting = Connecting();
  const AttemptFacts connected = Connected();
  EXPECT_EQ(JudgeTimeout(nullptr, TimeoutIn::kLookup, 1s).sign, NetworkSign::kNoNameServer);
  EXPECT_EQ(JudgeTimeout(&connecting, TimeoutIn::kAttempt, 1s).sign, NetworkSign::kSilence);
  EXPECT_EQ(JudgeTimeout(&connected, TimeoutIn::kAttempt, 1s).sign, NetworkSign::kNone);
}

TEST(Verdict, OfALookupThatFailedIsOursOnlyWithoutANameServer) {
  const auto judge = [](LookupFailure failure, std::optional<LocalFault> fault = std::nullopt) {
    LookupResult lookup;
    lookup.failure = failure;
    lookup.fault = fault;
    lookup.error = "It failed.";
    return JudgeLookup(lookup);
  };
  EXPECT_EQ(judge(LookupFailure::kNotFound).result.outcome, Outcome::kDnsError);
  EXPECT_EQ(judge(LookupFailure::kNotFound).result.error, "It failed.");
  EXPECT_EQ(judge(LookupFailure::kNotFound).sign, NetworkSign::kNone);
  EXPECT_EQ(judge(LookupFailure::kNoAddress).sign, NetworkSign::kNone);
  EXPECT_EQ(judge(LookupFailure::kServerFailed).sign, NetworkSign::kNoNameServer);
  EXPECT_EQ(judge(LookupFailure::kNoServer).sign, NetworkSign::kNoNameServer);
  EXPECT_EQ(judge(LookupFailure::kOther, LocalFault::kDescriptors).fault, LocalFault::kDescriptors);
}

TEST(Verdict, OfARehearsalIsThatNothingWasSent) {
  const DeliveryResult result = JudgeRehearsal(Connected()).result;
  EXPECT_EQ(result.outcome, Outcome::kNotSent);
  EXPECT_EQ(result.reached, Reached::kConnected);
  EXPECT_EQ(result.remote_address, kAddress);
}

}  // namespace
}  // namespace postcall::http
