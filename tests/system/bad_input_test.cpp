// Bad input from platforms, customers and endpoints: each call ends as its row in the log says, and delays no
// other.
#include <openssl/evp.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "common/handle.h"
#include "tests/support/sanitizers.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Md5(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_md5(), nullptr);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned i = 0; i < size; ++i) (hex += kDigits[digest[i] >> 4]) += kDigits[digest[i] & 15];
  return hex;
}

// The largest resident memory that the service has had, in KiB.
long MostMemory(const Service& service) {
  std::ifstream status("/proc/" + std::to_string(service.pid()) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  }
  return -1;
}

class BadInput : public SystemTest {
 protected:
  // Adds an agent and a completed call of the same id. `settings` is an expression of SQL.
  void CompleteWith(const std::string& name, const std::string& settings) {
    platform_.Query("INSERT INTO agents VALUES ('" + name + "', '" + name + "', " + settings + ")");
    platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('" + name + "', '" + name +
                    "', 'completed')");
  }

  // Returns settings as a JSON literal of SQL, in which URL is replaced by the endpoint's.
  std::string Json(std::string text) const {
    for (std::size_t at = text.find("URL"); at != std::string::npos; at = text.find("URL")) {
      text.replace(at, 3, endpoint_.Url("/hook"));
    }
    return "$json$" + text + "$json$";
  }

  std::set<std::string> CallsSeen() const {
    std::set<std::string> calls;
    for (const RequestEntry& request : endpoint_.ledger().Requests()) calls.insert(request.call_id);
    return calls;
  }

  void ExpectOnlyJsonLines(const std::string& log) {
    std::istringstream lines(log);
    for (std::string line; std::getline(lines, line);) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
};

TEST_F(BadInput, SettingsOfEveryShapeEndAsNothingToSendOrInvalidSettings) {
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  const std::map<std::string, std::string> without_url = {
      {"number", "5"},
      {"text", R"("URL")"},
      {"array", R"(["webhooks", {"postCall": "URL"}])"},
      {"json-null", "null"},
      {"true", "true"},
      {"empty", "{}"},
      {"webhooks-null", R"({"webhooks": null})"},
      {"webhooks-text", R"({"webhooks": "URL"})"},
      {"webhooks-number", R"({"webhooks": 5})"},
      {"webhooks-array", R"({"webhooks": ["postCall", "URL"]})"},
      {"webhooks-empty", R"({"webhooks": {}})"},
      {"url-null", R"({"webhooks": {"postCall": null}})"},
      {"url-empty", R"({"webhooks": {"postCall": ""}})"},
      {"other-case", R"({"webhooks": {"postcall": "URL"}})"},
  };
  std::map<std::string, std::string> invalid = {
      {"url-number", R"({"webhooks": {"postCall": 5}})"},
      {"url-huge-number", R"({"webhooks": {"postCall": 1e400}})"},
      {"url-false", R"({"webhooks": {"postCall": false}})"},
      {"url-array", R"({"webhooks": {"postCall": ["URL"]}})"},
      {"url-object", R"({"webhooks": {"postCall": {"url": "URL"}}})"},
      {"url-blank", R"({"webhooks": {"postCall": " "}})"},
      {"url-line-end", R"({"webhooks": {"postCall": "URL\r\nX-Injected: 1"}})"},
      {"url-other-scheme", R"({"webhooks": {"postCall": "file:///etc/passwd"}})"},
      {"url-scheme-alone", R"({"webhooks": {"postCall": "http://"}})"},
      {"url-port-0", R"({"webhooks": {"postCall": "http://127.0.0.1:0/"}})"},
      {"url-backslash", R"({"webhooks": {"postCall": "http://127.0.0.1\\@example.com/"}})"},
  };
  // These come with a good URL.
  const std::map<std::string, std::string> more = {
      {"header-value-line-end", R"("headers": {"X-A": "a\r\nX-Injected: 1"})"},
      {"header-value-lf", R"("headers": {"X-A": "a\nX-Injected: 1"})"},
      {"header-value-control", R"("headers": {"X-A": "\u0001"})"},
      {"header-name-line-end", R"("headers": {"X-A\r\nX-Injected": "1"})"},
      {"header-name-colon", R"("headers": {"X-A: 1\r\nX-Injected": "1"})"},
      {"header-name-space", R"("headers": {"X A": "1"})"},
      {"header-name-empty", R"("headers": {"": "1"})"},
      {"header-name-ours", R"("headers": {"content-LENGTH": "1"})"},
      {"header-number", R"("headers": {"X-A": 5})"},
      {"headers-array", R"("headers": ["X-A: 1"])"},
      {"headers-text", R"("headers": "X-A: 1")"},
      {"secret-no-base64", R"("secret": "whsec_not base64!")"},
      {"secret-no-padding", R"("secret": "whsec_AAAAA")"},
      {"secret-prefix-alone", R"("secret": "whsec_")"},
      {"secret-empty", R"("secret": "")"},
      {"secret-number", R"("secret": 5)"},
      {"secret-object", R"("secret": {"key": "AAAA"})"},
      {"secret-empty-list", R"("secret": [])"},
      {"secret-list-with-null", R"("secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", null])"},
      {"secret-list-with-one-bad", R"("secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "!"])"},
  };
  for (const auto& [name, members] : more)
    invalid[name] = R"({"webhooks": {"postCall": "URL", )" + members + "}}";
  for (const auto& [name, settings] : without_url) CompleteWith(name, Json(settings));
  for (const auto& [name, settings] : invalid) CompleteWith(name, Json(settings));
  CompleteWith("url-of-1-mb", "jsonb_build_object('webhooks', jsonb_build_object('postCall', '" +
                                  endpoint_.Url("/") + "' || repeat('a', 1000000)))");
  CompleteWith("good-with-nulls",
               Json(R"({"webhooks": {"postCall": "URL", "secret": null, "headers": null}})"));
  CompleteWith("good-with-a-huge-number",
               Json(R"({"more": [1e400], "webhooks": {"postCall": "URL", "more": {}}})"));

  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(CallsSeen(), (std::set<std::string>{"good-with-nulls", "good-with-a-huge-number"}));
  for (const auto& [name, settings] : without_url) {
    EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE call_id = '" + name + "'"), "0")
        << name;
  }
  EXPECT_EQ(platform_.Outcomes(),
            (std::map<std::string, int>{{"delivered", 2},
                                        {"invalid_settings", static_cast<int>(invalid.size()) + 1}}));
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'invalid_settings'"
                            " AND (reached <> 'nothing' OR error IS NULL OR error ~ '[[:cntrl:]]')"),
            "0");
  EXPECT_EQ(
      platform_.Value("SELECT max(length(url)) < 10000 AND max(length(error)) < 200 FROM webhook_deliveries"),
      "t");
}

TEST_F(BadInput, IdsOfEveryKindArriveUnchanged) {
  const Service service(Run({"--log-format", "json", "--log-level", "debug"}));
  std::set<std::string> ids = {"'; DROP TABLE calls; --",
                               R"("quoted" 'twice')",
                               R"(back\slash\\ \n \u0041)",
                               "two\r\nlines\t",
                               "%s%n %00",
                               "{\"callId\":1}",
                               "<script>&amp;",
                               " ",
                               "",
                               "日本語 \xF0\x9F\x98\x80 ü",
                               "\x01\x1F\x7F",
                               "\xC2\x80\xE2\x80\xA8\xEF\xBB\xBF",
                               "../../etc",
                               std::string(1000, 'x'),
                               "NULL"};
  std::string wide;
  for (int i = 0; i < 250; ++i) wide += "\xF0\x9F\x98\x80";
  ids.insert(wide);
  pqxx::connection connection(database_url_);
  pqxx::work work(connection);
  const std::string settings = R"({"webhooks": {"postCall": ")" + endpoint_.Url("/hook") +
                               R"(", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}})";

  for (const std::string& id : ids) {
    work.exec_params("INSERT INTO agents VALUES ($1, $1, $2::jsonb)", id, settings);
    work.exec_params("INSERT INTO calls (id, agent_id, status) VALUES ($1, $1, 'completed')", id);
  }
  // An id that is too long for an index is not enqueued, and fails no transaction.
  work.exec_params("INSERT INTO calls (id, agent_id, status) VALUES ($1, 'NULL', 'completed')",
                   std::string(1025, 'x'));
  work.commit();
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(CallsSeen(), ids);
  for (const RequestEntry& request : endpoint_.ledger().Requests()) {
    EXPECT_EQ(nlohmann::json::parse(request.body).at("callId"), request.call_id);
    const std::string id = request.Header("webhook-id").value_or("");
    EXPECT_TRUE(id.starts_with("call_") && id.size() <= 205 &&
                std::ranges::all_of(id, [](unsigned char c) { return std::isgraph(c); }))
        << id;
  }
  ExpectOnlyJsonLines(service.log());
}

TEST_F(BadInput, AnAnalysisOf50MbIsSentWholeAndDelaysNoOther) {
  for (const std::string agent : {"large", "other-1", "other-2"})
    platform_.AddAgent(agent, endpoint_.Url("/hook"));
  platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('large', 'large', 'in_progress')");
  // All parts differ, so that a missing part or a part in the wrong place is noticed.
  platform_.Query(
      "INSERT INTO call_analysis (call_id, summary, action_items)"
      " SELECT 'large', string_agg(md5(n::text), ''), jsonb_agg(n) FILTER (WHERE n <= 100000)"
      "   FROM generate_series(1, 1562500) AS n");
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.Query("UPDATE calls SET status = 'completed'");
  for (int i = 0; i < 10; ++i) {
    platform_.CompleteCalls("other-1", "one-" + std::to_string(i) + "-", 5);
    platform_.CompleteCalls("other-2", "two-" + std::to_string(i) + "-", 5);
  }
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 101}}));
  for (const RequestEntry& request : endpoint_.ledger().Requests()) {
    if (request.call_id != "large") continue;
    const std::string head = R"({"callId":"large","callerDetails":{},"callAnalysis":{"summary":")";
    const std::string between = R"(","actionItems":)";
    EXPECT_TRUE(request.body.starts_with(head) && request.body.ends_with("]}}"));
    EXPECT_EQ(std::to_string(request.body.size()),
              platform_.Value("SELECT " + std::to_string(head.size() + between.size() + 2) +
                              " + octet_length(summary) + octet_length(replace(action_items::text, ', ', "
                              "',')) FROM call_analysis"
                              " WHERE call_id = 'large'"));
    EXPECT_EQ(Md5(request.body.substr(head.size(), 50'000'000)),
              platform_.Value("SELECT md5(summary) FROM call_analysis WHERE call_id = 'large'"));
    EXPECT_EQ(
        Md5(request.body.substr(head.size() + 50'000'000 + between.size(),
                                request.body.size() - head.size() - 50'000'000 - between.size() - 2)),
        platform_.Value(
            "SELECT md5(replace(action_items::text, ', ', ',')) FROM call_analysis WHERE call_id = 'large'"));
  }
  // If the loop handled the body of 50 MB, the other calls would be late.
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id <> 'large'"
                            " AND finished_at > due_at + interval '5 s'"),
            "0");
}

// A voice agent's prompt is in its settings too, and a jsonb document may have 250 MB.
TEST_F(BadInput, LargeSettingsAreNotKeptInMemoryAndDelayNoOther) {
  const auto add = [this](const std::string& agent, const std::string& more,
                          const std::string& webhooks_more) {
    platform_.Query("INSERT INTO agents VALUES ('" + agent + "', '" + agent + "', jsonb_build_object(" +
                    more + "'webhooks', jsonb_build_object(" + webhooks_more + "'postCall', '" +
                    endpoint_.Url("/hook") + "')))");
  };
  const std::string large = "repeat('x', 50000000), ";
  add("prompt", "'prompt', " + large, "");
  add("other-member", "", "'more', " + large);
  add("headers", "", "'headers', jsonb_build_object('X-A', repeat('x', 50000000)), ");
  add("healthy", "", "");
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  // Measures how long it takes to read the three documents once on this machine, under its present load.
  const SteadyTime start = Steady::now();
  platform_.Query("SELECT sum(length(settings::text)) FROM agents");
  const auto limit = std::max(Seconds(5s), 10 * Seconds(Steady::now() - start));
  for (int i = 0; i < 5; ++i) {
    const std::string part = std::to_string(i) + "-";
    for (const std::string agent : {"prompt", "other-member", "headers"})
      platform_.CompleteCalls(agent, agent + part, 1);
    platform_.CompleteCalls("healthy", "healthy" + part, 5);
  }
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 35}, {"invalid_settings", 5}}));
  EXPECT_THAT(platform_.Value("SELECT DISTINCT error FROM webhook_deliveries WHERE agent_id = 'headers'"),
              AllOf(HasSubstr("50000"), HasSubstr("262144"), HasSubstr("shorten")));
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id = 'healthy'"
                            " AND finished_at > due_at + interval '1 s' * " +
                            std::to_string(limit)),
            "0");
  if (kSanitized) return;
  EXPECT_LT(MostMemory(service), 45'000) << "KiB; each of the three documents is larger";
}

TEST_F(BadInput, ARecordThatTheDatabaseRefusesIsWrittenWithoutItsTextAndDelaysNoOther) {
  endpoint_.On("/poison", Respond(200, "poison"));
  endpoint_.On("/poisonous", Respond(418, "short and stout"));
  endpoint_.On("/fine", Respond(200, "fine"));
  for (const std::string name : {"poison", "poisonous", "fine"})
    platform_.AddAgent(name, endpoint_.Url("/" + name));
  platform_.Query("ALTER TABLE webhook_deliveries ADD CHECK (response_body <> 'poison')");
  platform_.Query(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
      " $$ BEGIN IF NEW.error LIKE '%418%' THEN RAISE 'not this one'; END IF; RETURN NEW; END $$");
  platform_.Query(
      "CREATE TRIGGER refuse BEFORE UPDATE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()");
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  for (const std::string name : {"fine", "poison", "poisonous", "fine"}) {
    static int part = 0;
    platform_.CompleteCalls(name, name + std::to_string(++part) + "-", 10);
  }
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(
      platform_.Value("SELECT string_agg(DISTINCT concat_ws(' ', agent_id, outcome, reached, http_status,"
                      " response_body, error), ', ') FROM webhook_deliveries"),
      "fine delivered response_complete 200 fine, poison delivered response_complete 200,"
      " poisonous rejected response_complete 418 The database refused the description of this error.");
  EXPECT_THAT(service.log(), HasSubstr("the database refused the text of an outcome"));
  EXPECT_EQ(service.Metric("postcall_outcomes_unrecorded"), 0.0);
}

TEST_F(BadInput, AnswersThatAreNoTextAreRecordedWithReplacements) {
  const std::map<std::string, std::pair<std::string, std::string>> answers = {
      {"nul", {"a\0b"s, "a\uFFFDb"}},
      {"latin-1", {"caf\xE9", "caf\uFFFD"}},
      {"binary", {"\xFF\xFE\x00\x80"s, "\uFFFD\uFFFD\uFFFD\uFFFD"}},
      {"surrogate", {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"}},
      {"cut", {"ok \xF0\x9F\x98", "ok \uFFFD"}},
      {"good", {"日本", "日本"}},
  };
  for (const auto& [name, answer] : answers) {
    endpoint_.On("/" + name, Respond(name == "binary" ? 500 : 200, answer.first));
    platform_.AddAgent(name, endpoint_.Url("/" + name));
  }
  endpoint_.On("/status-line", Send("HTTP/1.1 599 \xFF\xFE\r\nX: \xC3(\r\nContent-Length: 0\r\n\r\n"));
  platform_.AddAgent("status-line", endpoint_.Url("/status-line"));
  const Service service(Run({"--log-format", "json", "--log-level", "debug"}));
  for (const auto& [name, answer] : answers) platform_.CompleteCalls(name, name + "-", 1);
  platform_.CompleteCalls("status-line", "status-line-", 1);
  ExpectTheOracleIsContent({}, {&service});
  for (const auto& [name, answer] : answers) {
    EXPECT_EQ(platform_.Value("SELECT response_body FROM webhook_deliveries WHERE agent_id = '" + name + "'"),
              answer.second)
        << name;
  }
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 5}, {"rejected", 2}}));
  EXPECT_EQ(service.log().find("refused"), std::string::npos) << "the database had to refuse one";
  ExpectOnlyJsonLines(service.log());
}

}  // namespace
}  // namespace postcall::test
