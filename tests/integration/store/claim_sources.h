// A claim, and calls and agents of every kind for it to read.
#pragma once

#include "dispatcher/store/claim.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {

class ClaimSources : public StoreTest {
 protected:
  // As the claim loop does: anew and with fewer rows when some of them cannot be read.
  Claimed ClaimWith(ClaimLimits limits, const Decide& decide) {
    Claimed claimed = std::get<Claimed>(dispatcher_.Claim(session_, limits, decide));
    while (claimed.rows_next > 0) {
      limits.max_rows = claimed.rows_next;
      claimed = std::get<Claimed>(dispatcher_.Claim(session_, limits, decide));
    }
    return claimed;
  }

  // From now on the view takes so many seconds for a call.
  void ReadSlowly(const std::string& seconds_of_call_id) {
    Query(
        "CREATE FUNCTION slowly(seconds float) RETURNS text LANGUAGE plpgsql STABLE AS"
        " $$ BEGIN PERFORM pg_sleep(seconds); RETURN ''; END $$");
    Query("ALTER VIEW webhook_source RENAME TO whole_source");
    const std::string columns =
        Value("SELECT string_agg(CASE attname WHEN 'name' THEN $q$slowly(" + seconds_of_call_id +
              ") AS name$q$ ELSE attname::text END, ', ' ORDER BY attnum)"
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
};

}  // namespace postcall::store
