#include "dispatcher/store/sources.h"

#include <unordered_set>
#include <utility>

#include "dispatcher/store/array_literal.h"
#include "dispatcher/store/database_value.h"

namespace postcall::store {
namespace {

// One look-up a call, one after the other, so that it can stop in time: the size of a jsonb column is not
// known before it is converted. LIMIT 1 also keeps each look-up a look-up, whatever a platform's own view
// joins. pg_column_size of the whole row is that of its text, uncompressed.
constexpr const char* kReadCalls = R"sql(
    WITH RECURSIVE
      source AS NOT MATERIALIZED (
        SELECT call_id, recording_uri, transcript_uri,
               name, phone_number, email, scheduled_time, address, pincode, city, state, country, age, gender,
               occupation, company, preferred_contact_method, best_time_to_call, language,
               summary, mood, score::text AS score, call_outcome, classification,
               interests_and_needs::text AS interests_and_needs, action_items::text AS action_items,
               sentiment::text AS sentiment
          FROM webhook_source),
      reading AS (
        SELECT 0 AS position, 0::bigint AS bytes, nothing.*
          FROM (SELECT) AS start
          LEFT JOIN source AS nothing ON false
      UNION ALL
        SELECT r.position + 1, r.bytes + coalesce(pg_column_size(found), 0), found.*
          FROM reading r
         CROSS JOIN LATERAL (SELECT ($1::text[])[r.position + 1] AS call_id OFFSET 0) AS wanted
          LEFT JOIN LATERAL (SELECT * FROM source WHERE source.call_id = wanted.call_id LIMIT 1) AS found ON true
         WHERE r.position < cardinality($1::text[])
           AND r.bytes < $2)
    SELECT call_id, recording_uri, transcript_uri,
           name, phone_number, email, scheduled_time, address, pincode, city, state, country, age, gender,
           occupation, company, preferred_contact_method, best_time_to_call, language,
           summary, mood, score, call_outcome, classification, interests_and_needs, action_items, sentiment
      FROM reading
     WHERE position > 0
     ORDER BY position
)sql";

constexpr const char* kReadSettings = R"sql(
    SELECT id, coalesce(settings, '{}')::text AS settings
      FROM webhook_agents
     WHERE id = ANY ($1::text[])
)sql";

// None when the call is gone.
std::optional<Call> CallOf(const pqxx::row& row) {
  int next = 0;
  const auto column = [&] { return ColumnOf(row[next++]); };
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

AgentSettingsText::AgentSettingsText(Transaction& transaction, const std::vector<Candidate>& candidates) {
  ArrayLiteral ids;
  std::unordered_set<std::string_view> seen;
  for (const Candidate& candidate : candidates) {
    if (seen.insert(candidate.agent_id).second) ids.Add(candidate.agent_id);
  }
  rows_ = transaction.ExecPrepared(kReadSettings, std::move(ids).Close());
  for (const pqxx::row& row : rows_) settings_.emplace(TextOf(row[0]), TextOf(row[1]));
}

const std::string_view* AgentSettingsText::of(std::string_view agent_id) const {
  const auto found = settings_.find(agent_id);
  return found == settings_.end() ? nullptr : &found->second;
}

Calls::Calls(Transaction& transaction, const std::vector<Candidate>& candidates, std::int64_t max_bytes) {
  ArrayLiteral ids;
  for (const Candidate& candidate : candidates) ids.Add(candidate.call_id);
  rows_ = transaction.ExecPrepared(kReadCalls, std::move(ids).Close(), max_bytes);
  calls_.reserve(rows_.size());
  for (const pqxx::row& row : rows_) calls_.push_back(CallOf(row));
}

}  // namespace postcall::store
