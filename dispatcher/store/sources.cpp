#include "dispatcher/store/sources.h"

#include <chrono>
#include <string>
#include <unordered_set>
#include <utility>

#include "dispatcher/postgres/array_literal.h"
#include "dispatcher/postgres/database_value.h"
#include "schema/agent_settings.h"

namespace postcall::store {
namespace {

// Reads one call after the other, so that it can stop in time: the size of a jsonb column is not known before
// the column is converted. The join is a nested loop, because of LIMIT 1, and so each row is written before
// the condition about the next call is checked, whatever a platform's own view joins. A setting of the
// transaction holds the bytes so far. pg_column_size of the whole row is the size of its text, uncompressed.
//
// The last call also restores the limits that kPick shortened, for the statements that follow.
constexpr const char* kReadCalls = R"sql(
    SELECT position, found.*,
           set_config('postcall.bytes_read',
                      (CASE WHEN position > 1 THEN current_setting('postcall.bytes_read')::bigint ELSE 0 END
                       + coalesce(pg_column_size(found), 0))::text, true),
           CASE WHEN position = cardinality($1::text[])
                THEN set_config('statement_timeout', $3::text, true) || set_config('lock_timeout', $4::text, true) END
      FROM (SELECT call_id, position
              FROM unnest($1::text[]) WITH ORDINALITY AS wanted (call_id, position)
             WHERE position = 1
                OR (current_setting('postcall.bytes_read')::bigint < $2
                    AND clock_timestamp() < statement_timestamp() + interval '200 ms')
            OFFSET 0) AS wanted
      LEFT JOIN LATERAL (
              SELECT call_id, recording_uri, transcript_uri,
                     name, phone_number, email, scheduled_time, address, pincode, city, state, country, age,
                     gender, occupation, company, preferred_contact_method, best_time_to_call, language,
                     summary, mood, score::text, call_outcome, classification,
                     interests_and_needs::text, action_items::text, sentiment::text
                FROM webhook_source s
               WHERE s.call_id = wanted.call_id
               LIMIT 1) AS found ON true
)sql";

// Leaves out missing keys, and all keys when the value is not an object. JSON null and other types stay as
// they are, because ParseAgentSettings judges them. With OFFSET 0 each step is done once and not once per
// use, so that the whole document is decompressed once. Values that are too large as stored are not made into
// text. Numbers are not either, because none is valid here: 1e131000 is stored in ten bytes, and its text has
// 131,001.
constexpr const char* kReadSettings = R"sql(
    SELECT agent.id,
           CASE WHEN octet_length(text.json) <= $2::bigint THEN text.json END AS json,
           coalesce(octet_length(text.json), stored.bytes) AS bytes
      FROM (SELECT id, settings -> 'webhooks' AS webhooks
              FROM webhook_agents
             WHERE id = ANY ($1::text[])
            OFFSET 0) AS agent
     CROSS JOIN LATERAL (SELECT webhooks -> 'secret' AS secret, webhooks -> 'headers' AS headers,
                                webhooks -> 'postCall' AS post_call OFFSET 0) AS used
     CROSS JOIN LATERAL (SELECT coalesce(pg_column_size(secret), 0) + coalesce(pg_column_size(headers), 0)
                                + coalesce(pg_column_size(post_call), 0) AS bytes OFFSET 0) AS stored
      LEFT JOIN LATERAL (
        SELECT '{"webhooks": {' || concat_ws(', ',
                 '"secret": ' || CASE WHEN secret @? numbers THEN 'false' ELSE secret::text END,
                 '"headers": ' || CASE WHEN headers @? numbers THEN coalesce(
                     (SELECT jsonb_build_object(key, false)::text
                        FROM jsonb_each(CASE jsonb_typeof(headers) WHEN 'object' THEN headers ELSE '{}' END)
                       WHERE jsonb_typeof(value) <> 'string'
                       LIMIT 1), 'false') ELSE headers::text END,
                 '"postCall": ' || CASE WHEN post_call @? numbers THEN 'false' ELSE post_call::text END)
               || '}}' AS json
          FROM (VALUES ('$.** ? (@.type() == "number")'::jsonpath)) AS path (numbers)
         WHERE stored.bytes <= $2::bigint
        OFFSET 0) AS text ON true
)sql";

// No value when the call was removed.
std::optional<Call> CallOf(const pqxx::row& row) {
  int next = 1;  // behind the position
  const auto column = [&] { return postgres::ColumnOf(row[next++]); };
  const Column id = column();
  if (!id) return std::nullopt;
  Call call;
  call.id = *id;
  call.recording_uri = column();
  call.transcript_uri = column();
  for (Column& detail : call.caller_details) detail = column();
  call.analysis.summary = column();
  call.analysis.mood = column();
  call.analysis.score = column();
  call.analysis.call_outcome = column();
  call.analysis.classification = column();
  call.analysis.interests_and_needs = column();
  call.analysis.action_items = column();
  call.analysis.sentiment = column();
  return call;
}

}  // namespace

AgentSettingsText::AgentSettingsText(postgres::Transaction& transaction, const std::vector<PickedRow>& rows) {
  postgres::ArrayLiteral ids;
  std::unordered_set<std::string_view> seen;
  for (const PickedRow& row : rows) {
    if (seen.insert(row.agent_id.get()).second) ids.Add(row.agent_id.get());
  }
  rows_ = transaction.ExecPrepared(kReadSettings, std::move(ids).Close(), kMaxAgentSettingsBytes);
  for (const pqxx::row& row : rows_) {
    settings_.emplace(postgres::TextOf(row[0]),
                      SettingsAsRead{postgres::TextOf(row[1]), row[2].as<std::int64_t>()});
  }
}

const SettingsAsRead* AgentSettingsText::of(std::string_view agent_id) const {
  const auto found = settings_.find(agent_id);
  return found == settings_.end() ? nullptr : &found->second;
}

CallsAsRead::CallsAsRead(postgres::Transaction& transaction, std::span<const PickedRow* const> rows,
                         std::int64_t max_bytes) {
  postgres::ArrayLiteral ids;
  for (const PickedRow* row : rows) ids.Add(row->call_id.get());
  const postgres::Settings& settings = transaction.settings();
  rows_ =
      transaction.ExecPrepared(kReadCalls, std::move(ids).Close(), max_bytes,
                               std::to_string(std::chrono::milliseconds(settings.statement_limit).count()),
                               std::to_string(settings.lock_limit.count()));
  calls_.reserve(rows.size());
  for (const pqxx::row& row : rows_) {
    // When the server's clock is set back, it may read on after a gap.
    if (row[0].as<std::size_t>() != calls_.size() + 1) break;
    calls_.push_back(CallOf(row));
  }
}

}  // namespace postcall::store
