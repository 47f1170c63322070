// A claim, and calls and agents of every kind for it to read.
#pragma once

#include "dispatcher/store/claim.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {

class ClaimSources : public StoreTest {
 protected:
  // Claims as the claim loop does: again with fewer rows when some of them cannot be read, and without agents
  // whose calls cannot be read.
  Made ClaimWith(TestLimits limits, const Decide& decide) {
    for (const AgentId& agent : slow_readers_) limits.agent_limits.emplace_back(agent, 0);
    if (read_singly_ > 0) limits.max_rows = 1;
    Made claimed = std::get<Made>(dispatcher_.Claim(session_, limits, decide));
    while (claimed.rows_next > 0) {
      limits.max_rows = claimed.rows_next;
      if (limits.max_rows == 1) read_singly_ = claimed.candidates;
      claimed = std::get<Made>(dispatcher_.Claim(session_, limits, decide));
    }
    read_singly_ = claimed.unreadable.empty() ? read_singly_ - 1 : 0;
    slow_readers_.insert(slow_readers_.end(), claimed.unreadable.begin(), claimed.unreadable.end());
    return claimed;
  }

  // Claims as the slow lane does, for these agents.
  Made ClaimSlow(const Decide& decide) {
    TestLimits limits = Limits(1, 1);
    limits.only_agents = slow_readers_;
    return std::get<Made>(dispatcher_.Claim(session_, limits, decide));
  }

  // From now on the view takes so many seconds for a call.
  void ReadSlowly(const std::string& seconds_of_call_id) {
    Query(
        "CREATE FUNCTION slowly(seconds float) RETURNS text LANGUAGE plpgsql STABLE AS"
        " $$ BEGIN PERFORM pg_sleep(seconds); RETURN ''; END $$");
    ComputeInView("name", "slowly(" + seconds_of_call_id + ")");
  }

  // From now on the view has this expression, which may use its columns, as the column.
  void ComputeInView(const std::string& column, const std::string& expression) {
    Query("ALTER VIEW webhook_source RENAME TO whole_source");
    const std::string columns =
        Value("SELECT string_agg(CASE attname WHEN '" + column + "' THEN $q$" + expression + " AS " + column +
              "$q$ ELSE attname::text END, ', ' ORDER BY attnum)"
              " FROM pg_attribute WHERE attrelid = 'whole_source'::regclass");
    Query("CREATE VIEW webhook_source AS SELECT " + columns + " FROM whole_source");
  }

  // Without compression, as a recording's transcript would be: each `bytes` long.
  void AddAnalyses(const std::string& prefix, int count, std::int64_t bytes) {
    Query("ALTER TABLE call_analysis ALTER interests_and_needs SET STORAGE EXTERNAL");
    pqxx::work work(platform_);
    work.exec_params(R"sql(
        INSERT INTO call_analysis (call_id, interests_and_needs)
        SELECT $1 || n, to_jsonb(repeat('x', $3::int))
          FROM generate_series(1, $2::int) AS n
    )sql",
                     prefix, count, bytes);
    work.commit();
  }

  Starter dispatcher_;
  std::vector<AgentId> slow_readers_;
  int read_singly_ = 0;
};

}  // namespace postcall::store
