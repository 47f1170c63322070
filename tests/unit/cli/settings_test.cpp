#include "dispatcher/cli/settings.h"

#include <gmock/gmock.h>

#include "tests/unit/cli/parse.h"
#include "tests/unit/cli/scratch_file.h"

namespace postcall::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// An option, a value that it takes, values that it does not take, and what the error says it must be.
struct Case {
  const char* name;
  std::vector<std::string> good;
  std::vector<std::string> bad;
  const char* must;
};

const std::vector<Case> kCases = {
    {"max-in-flight",
     {"1", "2000", "100000"},
     {"0", "-1", "100001", "many", "1.5"},
     "a whole number from 1 to 100000"},
    {"max-in-flight-per-agent", {"1", "100000"}, {"0", "x"}, "a whole number from 1 to 100000"},
    {"max-in-flight-per-endpoint", {"1", "100000"}, {"0", "x"}, "a whole number from 1 to 100000"},
    {"slow-share", {"0", "0.25", "1"}, {"-0.1", "1.1", "25%", "nan"}, "a number from 0 to 1"},
    {"max-body-memory",
     {"1MiB", "512 MiB", "1TiB"},
     {"1", "512", "2TiB", "512MB"},
     "a size from 1 MiB to 1 TiB"},
    {"network-threads", {"1", "64"}, {"0", "65"}, "a whole number from 1 to 64"},
    {"claim-sessions", {"1", "16"}, {"0", "17"}, "a whole number from 1 to 16"},
    {"timeout-ms", {"1", "10000"}, {"0", "10001", "10s"}, "a whole number from 1 to 10000"},
    {"egress-allow",
     {"10.0.0.0/8", "::1/128"},
     {"10.0.0.0/33", "10.0.0.1/8", "intranet"},
     "ranges such as 10.0.0.0/8"},
    {"egress-deny", {"8.8.8.8/32"}, {"8.8.8.8.8"}, "ranges such as 10.0.0.0/8"},
    {"source-address",
     {"127.0.0.1", "2001:db8::7"},
     {"localhost", "127.0.0.1/32", "0.0.0.0", "ff02::1"},
     "an address of this machine"},
    {"admin-listen",
     {"127.0.0.1:0", "[::]:9464"},
     {"9464", ":9464", "::1:1", "h:65536"},
     "an address to listen on"},
    {"retention-days", {"1", "400"}, {"0", "3651", "month"}, "a whole number from 1 to 3650"},
    {"ledger-days", {"30", "3650"}, {"0", "3651", "year"}, "a whole number from 1 to 3650"},
    {"response-body-bytes", {"0", "4096", "64KiB"}, {"-1", "65537", "1MiB"}, "a size from 0 to 64 KiB"},
    {"instance", {"dispatcher-0", "ünïcode"}, {"a\nb", std::string(256, 'x'), "\xff"}, "a label"},
    {"log-level",
     {"debug", "info", "warning", "error"},
     {"trace", "INFO"},
     "one of debug, info, warning, error"},
    {"log-format", {"text", "json"}, {"xml"}, "one of text, json"},
};

TEST(Settings, TakeValuesInTheirRangeAndOtherwiseSayWhatTheyMustBe) {
  for (const Case& tried : kCases) {
    const std::string flag = "--" + std::string(tried.name);
    for (const std::string& value : tried.good) EXPECT_NO_THROW(Good({"run", flag, value})) << flag << value;
    for (const std::string& value : tried.bad) {
      EXPECT_THAT(Bad({"run", flag, value}), StartsWith(flag + " must be " + tried.must)) << value;
    }
  }
}

TEST(Settings, ComplaintsNameTheVariableOrTheFileThatTheValueCameFrom) {
  EXPECT_EQ(Bad({"run", "--timeout-ms", "0"}),
            "--timeout-ms must be a whole number from 1 to 10000; it is \"0\"");
  EXPECT_EQ(Bad({"run"}, {{"POSTCALL_TIMEOUT_MS", "0"}}),
            "--timeout-ms must be a whole number from 1 to 10000; it is \"0\" in POSTCALL_TIMEOUT_MS");
  const ScratchFile file("\ntimeout-ms = 0\n");
  EXPECT_EQ(
      Bad({"run", "--config", file.path()}),
      "--timeout-ms must be a whole number from 1 to 10000; it is \"0\" in " + file.path() + ", line 2");
}

TEST(Settings, KeepTheLedgerAtLeastAsLongAsTheLog) {
  EXPECT_EQ(Bad({"run", "--ledger-days", "29"}),
            "--ledger-days is 29 and must not be below --retention-days, which is 30; raise the first, or "
            "lower the second");
  EXPECT_EQ(Bad({"run"}, {{"POSTCALL_RETENTION_DAYS", "401"}}),
            "--ledger-days is 400 and must not be below --retention-days, which is 401; raise the first, or "
            "lower the second");
  EXPECT_EQ(Good({"run", "--retention-days", "7", "--ledger-days", "7"}).ledger_days, 7);
}

TEST(Settings, HaveTheDefaultsOfTheContract) {
  const Options options = Good({"run"});
  EXPECT_EQ(options.database_url, "");
  EXPECT_EQ(options.max_in_flight, 2000);
  EXPECT_EQ(options.max_in_flight_per_agent, 50);
  EXPECT_EQ(options.max_in_flight_per_endpoint, 200);
  EXPECT_EQ(options.slow_share, 0.25);
  EXPECT_EQ(options.max_body_memory, 536'870'912);
  EXPECT_EQ(options.network_threads, 1);
  EXPECT_EQ(options.claim_sessions, 2);
  EXPECT_EQ(options.timeout.count(), 10'000);
  EXPECT_TRUE(options.egress_allow.empty());
  EXPECT_TRUE(options.egress_deny.empty());
  EXPECT_TRUE(options.source_addresses.empty());
  EXPECT_EQ(options.ca_file, "");
  EXPECT_EQ(options.admin_listen, "127.0.0.1:9464");
  EXPECT_EQ(options.admin_token, std::nullopt);
  EXPECT_FALSE(options.instance.empty());
  EXPECT_EQ(options.retention_days, 30);
  EXPECT_EQ(options.ledger_days, 400);
  EXPECT_EQ(options.response_body_bytes, 4096);
  EXPECT_EQ(options.log_level, log::Level::kInfo);
  EXPECT_EQ(options.log_format, log::Format::kText);
}

TEST(Settings, AreEachSetByFlagVariableAndFile) {
  // Each has a value other than the default. The three ways must give the same options.
  const ScratchFile bundle("-----BEGIN CERTIFICATE-----\n");
  const ScratchFile token("secret-token\n");
  const std::map<std::string, std::string> values = {
      {"database-url", "postgresql://h/d"},
      {"max-in-flight", "11"},
      {"max-in-flight-per-agent", "12"},
      {"max-in-flight-per-endpoint", "13"},
      {"slow-share", "0.5"},
      {"max-body-memory", "2MiB"},
      {"network-threads", "4"},
      {"claim-sessions", "3"},
      {"timeout-ms", "500"},
      {"egress-allow", "10.0.0.0/8"},
      {"egress-deny", "10.1.0.0/16"},
      {"source-address", "127.0.0.1"},
      {"ca-file", bundle.path()},
      {"admin-listen", "[::1]:1"},
      {"admin-token-file", token.path()},
      {"instance", "label"},
      {"retention-days", "7"},
      {"ledger-days", "70"},
      {"response-body-bytes", "1KiB"},
      {"log-level", "error"},
      {"log-format", "json"},
  };
  std::vector<std::string> arguments = {"run"};
  Variables variables;
  std::string toml;
  for (const auto& [name, value] : values) {
    arguments.insert(arguments.end(), {"--" + name, value});
    variables[VariableOf(name)] = value;
    toml += name + " = \"" + value + "\"\n";
  }
  const ScratchFile file(toml);
  for (const Options& options :
       {Good(arguments), Good({"run"}, variables), Good({"run", "--config", file.path()})}) {
    EXPECT_EQ(options.database_url, "postgresql://h/d");
    EXPECT_EQ(options.max_in_flight, 11);
    EXPECT_EQ(options.max_in_flight_per_agent, 12);
    EXPECT_EQ(options.max_in_flight_per_endpoint, 13);
    EXPECT_EQ(options.slow_share, 0.5);
    EXPECT_EQ(options.max_body_memory, 2 << 20);
    EXPECT_EQ(options.network_threads, 4);
    EXPECT_EQ(options.claim_sessions, 3);
    EXPECT_EQ(options.timeout.count(), 500);
    ASSERT_EQ(options.egress_allow.size(), 1u);
    EXPECT_EQ(options.egress_allow.front().ToString(), "10.0.0.0/8");
    ASSERT_EQ(options.egress_deny.size(), 1u);
    EXPECT_EQ(options.egress_deny.front().ToString(), "10.1.0.0/16");
    ASSERT_EQ(options.source_addresses.size(), 1u);
    EXPECT_EQ(options.source_addresses.front().to_string(), "127.0.0.1");
    EXPECT_EQ(options.ca_file, bundle.path());
    EXPECT_EQ(options.admin_listen, "[::1]:1");
    EXPECT_EQ(options.admin_token, "secret-token");
    EXPECT_EQ(options.instance, "label");
    EXPECT_EQ(options.retention_days, 7);
    EXPECT_EQ(options.ledger_days, 70);
    EXPECT_EQ(options.response_body_bytes, 1024);
    EXPECT_EQ(options.log_level, log::Level::kError);
    EXPECT_EQ(options.log_format, log::Format::kJson);
  }
}

TEST(Settings, AdminTokenIsTheFirstLineOfItsFile) {
  const ScratchFile file("abc\r\nsecond line\n");
  EXPECT_EQ(Good({"run", "--admin-token-file", file.path()}).admin_token, "abc");
}

TEST(Settings, AdminTokenFileMustHoldAToken) {
  EXPECT_EQ(Bad({"run", "--admin-token-file", "/nonexistent"}),
            "--admin-token-file must be a file that can be read: No such file or directory; it is "
            "\"/nonexistent\"");
  const ScratchFile empty("");
  const ScratchFile blank("\nabc\n");
  const ScratchFile spaced("not hunter2\n");
  for (const ScratchFile* file : {&empty, &blank}) {
    EXPECT_THAT(Bad({"run", "--admin-token-file", file->path()}), HasSubstr("that line is empty"));
  }
  const std::string complaint = Bad({"run", "--admin-token-file", spaced.path()});
  EXPECT_THAT(complaint, HasSubstr("visible ASCII characters"));
  EXPECT_EQ(complaint.find("hunter2"), std::string::npos);
}

TEST(Settings, CaFileMustHoldCertificates) {
  const ScratchFile other("hello\n");
  EXPECT_THAT(Bad({"run", "--ca-file", "/nonexistent.pem"}), HasSubstr("No such file or directory"));
  EXPECT_THAT(Bad({"run", "--ca-file", other.path()}), HasSubstr("has none"));
}

TEST(Settings, PasswordOfTheDatabaseIsNeverPrinted) {
  const std::string url = "postgresql://u:hunter2@host:not-a-port/d";
  const ScratchFile file("database-url = \"" + url + "\"\n");
  const ScratchFile unquoted("database-url = " + url + "\n");
  for (const std::string& complaint : {
           Bad({"run", "--database-url", url}),
           Bad({"run", "--database-url=" + url}),
           Bad({"migrate", "--database-url", "postgresql://u:hunter2@h:x"}),
           Bad({"run"}, {{"POSTCALL_DATABASE_URL", url}}),
           Bad({"run", "--config", file.path()}),
           Bad({"run", "--config", unquoted.path()}),
           Bad({"run", "--databaseurl=" + url}),
           Bad({"run", "--databaseurl", url}),
           Bad({"run", url}),
           Bad({url}),
       }) {
    EXPECT_NE(complaint, "it was accepted");
    EXPECT_EQ(complaint.find("hunter2"), std::string::npos) << complaint;
  }
  EXPECT_THAT(Bad({"run"}, {{"POSTCALL_DATABASE_URL", url}}), StartsWith("--database-url cannot be used: "));
}

TEST(Settings, HaveOneVariableEach) {
  EXPECT_EQ(VariableOf("max-in-flight-per-agent"), "POSTCALL_MAX_IN_FLIGHT_PER_AGENT");
}

}  // namespace
}  // namespace postcall::cli
