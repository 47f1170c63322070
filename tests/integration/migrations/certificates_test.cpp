// The view webhook_certificates lists the latest certificate of each host (CONTRACT §4).
#include "tests/integration/migrations/log_database.h"

namespace postcall::test {
namespace {

class Certificates : public LogDatabase {
 protected:
  // Adds a delivery that ended `ago`, to a host whose certificate ends in that many days (negative: it has
  // ended).
  void Deliver(const std::string& url, int ends_in_days, const std::string& ago,
               const std::string& agent = "agent") {
    db_.Run(
        "INSERT INTO webhook_deliveries (id, call_id, agent_id, cause, url, outcome, reached, http_status,"
        " certificate_ends_at, enqueued_at, due_at, claimed_at, finished_at, dispatcher, claim_id)"
        " SELECT nextval('webhook_delivery_id_seq'), 'c', " +
        Quote(agent) + ", 'completion', " + Quote(url) +
        ", CASE WHEN ended THEN 'tls_error' ELSE 'delivered' END,"
        " CASE WHEN ended THEN 'connected' ELSE 'response_complete' END, CASE WHEN NOT ended THEN 200 END,"
        " now() + " +
        std::to_string(ends_in_days) + " * interval '1 day', at, at, at, at, 'test', gen_random_uuid()" +
        " FROM (SELECT now() - interval '" + ago + "' AS at, " + std::to_string(ends_in_days) +
        " < 0 AS ended) v");
  }

  // Returns "https://a 30 1, …": host, days left, number of agents.
  std::string Listed() {
    return db_.Value(
        "SELECT string_agg(host || ' ' || round(extract(epoch FROM certificate_ends_at - now()) / 86400) || "
        "' '"
        " || agents, ', ') FROM webhook_certificates");
  }
};

TEST_F(Certificates, ListTheLatestOfEachHostByTheirEnds) {
  Deliver("https://renewed.example/hook", -1, "3 hours");
  Deliver("https://renewed.example/hook", 80, "1 hour");
  Deliver("https://b.example/hook", 40, "1 hour");
  Deliver("https://ended.example/hook", -2, "1 hour");
  Deliver("http://plain.example/", 1, "1 hour");
  db_.Run("UPDATE webhook_deliveries SET certificate_ends_at = NULL WHERE url LIKE 'http:%'");
  EXPECT_EQ(Listed(), "https://ended.example -2 1, https://b.example 40 1, https://renewed.example 80 1");
}

TEST_F(Certificates, CountTheAgentsOfAHostInWhateverSpelling) {
  int minutes = 60;
  for (const std::string url : {"https://h.example/a", "HTTPS://H.Example:443/b?key=…",
                                "https://h.example?x=…", "https://h.example:0443", "https://h.example:"}) {
    Deliver(url, minutes, std::to_string(minutes) + " minutes", "agent-" + std::to_string(minutes % 2));
    --minutes;
  }
  Deliver("https://h.example:8443/", 5, "1 hour");
  Deliver("https://[2001:db8::443]/", 6, "1 hour");
  Deliver("https://[2001:db8::1]:444/", 7, "1 hour");
  EXPECT_EQ(Listed(),
            "https://h.example:8443 5 1, https://[2001:db8::443] 6 1, https://[2001:db8::1]:444 7 1,"
            " https://h.example 56 2");
  EXPECT_EQ(db_.Value("SELECT agent_id FROM webhook_certificates WHERE host = 'https://h.example'"),
            "agent-0");
}

TEST_F(Certificates, ReadNoMoreThanADay) {
  MakePartition(3);
  Deliver("https://old.example/", 10, "3 days");
  Deliver("https://a.example/", 20, "23 hours");
  EXPECT_EQ(Listed(), "https://a.example 20 1");
  std::string plan;
  for (const auto& row : db_.Run("EXPLAIN SELECT * FROM webhook_certificates")) {
    plan += row[0].as<std::string>() + "\n";
  }
  EXPECT_NE(plan.find("Subplans Removed: 1"), std::string::npos) << plan;
}

}  // namespace
}  // namespace postcall::test
