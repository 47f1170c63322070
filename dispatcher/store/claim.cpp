#include "dispatcher/store/claim.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "common/log.h"
#include "dispatcher/store/array_literal.h"
#include "dispatcher/store/database_value.h"
#include "dispatcher/store/heartbeat.h"
#include "dispatcher/store/sources.h"
#include "dispatcher/store/transaction.h"
#include "dispatcher/store/unreadable.h"
#include "schema/utf8.h"

namespace postcall::store {
namespace {

// Rows whose wait for an analysis is over become ready. A claim begins with this, in the round trip of its
// settings.
constexpr const char* kRipen = R"sql(;
    UPDATE webhook_outbox
       SET awaits_analysis = false
     WHERE id IN (SELECT id FROM webhook_outbox
                   WHERE awaits_analysis AND due_at <= statement_timestamp()
                   ORDER BY due_at
                   LIMIT 500
                     FOR UPDATE SKIP LOCKED)
)sql";

// Due rows, at most $3 (or $4's number for that agent) of an agent, at most $2 in all, beginning after agent
// $1. It steps through the index from agent to agent, so that a noisy one's backlog is stepped over and not
// read, and no further than the limit needs. Locks exactly the rows that it returns.
constexpr const char* kPick = R"sql(
    WITH RECURSIVE
      onward (agent_id) AS (
          (SELECT agent_id FROM webhook_outbox
            WHERE agent_id > $1 AND NOT awaits_analysis
            ORDER BY agent_id LIMIT 1)
        UNION ALL
          SELECT (SELECT o.agent_id FROM webhook_outbox o
                   WHERE o.agent_id > onward.agent_id AND NOT o.awaits_analysis
                   ORDER BY o.agent_id LIMIT 1)
            FROM onward
           WHERE onward.agent_id IS NOT NULL),
      around (agent_id) AS (
          (SELECT agent_id FROM webhook_outbox
            WHERE agent_id <= $1 AND NOT awaits_analysis
            ORDER BY agent_id LIMIT 1)
        UNION ALL
          SELECT (SELECT o.agent_id FROM webhook_outbox o
                   WHERE o.agent_id > around.agent_id AND o.agent_id <= $1 AND NOT o.awaits_analysis
                   ORDER BY o.agent_id LIMIT 1)
            FROM around
           WHERE around.agent_id IS NOT NULL),
      agent AS (SELECT agent_id FROM onward UNION ALL SELECT agent_id FROM around)
    SELECT due.id, due.call_id, due.agent_id, due.cause,
           (extract(epoch FROM due.enqueued_at) * 1000000)::bigint AS enqueued_at,
           (extract(epoch FROM due.due_at) * 1000000)::bigint AS due_at,
           due.returns, due.place, due.unread
      FROM agent
     CROSS JOIN LATERAL (
             SELECT o.*, o.ctid AS place
               FROM webhook_outbox o
              WHERE o.agent_id = agent.agent_id
                AND NOT o.awaits_analysis
                AND o.due_at <= statement_timestamp()
              ORDER BY o.due_at, o.id
              LIMIT coalesce(($4::jsonb ->> agent.agent_id)::int, $3::int)
                FOR UPDATE SKIP LOCKED) AS due
     LIMIT $2::int
)sql";

// The agents of rows whose call could not be read when it was completed. Writes them down, which moves the
// rows.
constexpr const char* kFindAgents = "SELECT id, agent_id, place FROM webhook_find_agents($1::bigint[])";

// Moves the judged rows from the outbox to the log. $5 is claimed_at, and finished_at of what is final at
// once.
constexpr const char* kTake = R"sql(
    WITH taken AS (
      DELETE FROM webhook_outbox o
       USING unnest($1::tid[], $2::text[], $3::text[], $4::text[]) AS verdict (place, url, outcome, error)
       WHERE o.ctid = verdict.place
      RETURNING o.id, o.call_id, o.agent_id, o.cause, o.enqueued_at, o.due_at,
                verdict.url, verdict.outcome, verdict.error,
                'epoch'::timestamptz + $5::bigint * interval '1 microsecond' AS now)
    INSERT INTO webhook_deliveries (
      id, call_id, agent_id, cause, url, outcome, reached, error,
      enqueued_at, due_at, claimed_at, finished_at, dispatcher, claim_id)
    SELECT id, call_id, agent_id, cause, url, outcome,
           CASE WHEN outcome <> 'in_flight' THEN 'nothing' END, error,
           enqueued_at, due_at, now, CASE WHEN outcome <> 'in_flight' THEN now END, $6, $7::uuid
      FROM taken
)sql";

// A row whose call cannot be read: the others of its agent come first for a while, and each time for twice as
// long, for it may hold up all for some seconds.
constexpr const char* kPostpone = R"sql(
    UPDATE webhook_outbox
       SET due_at = clock_timestamp() + interval '20 seconds' * 2 ^ unread, unread = unread + 1
     WHERE id IN (SELECT id FROM webhook_outbox WHERE id = $1 FOR UPDATE SKIP LOCKED)
)sql";

constexpr const char* kLock = "SELECT ctid FROM webhook_outbox WHERE id = $1 FOR UPDATE SKIP LOCKED";

// After so many, ten minutes, it ends.
constexpr int kMaxPostponed = 5;

// For one statement when several rows are wanted: a row that takes longer is read alone, and has the full
// limit. Longer than the lock_timeout, so that a lock is told as one.
constexpr std::chrono::seconds kManyRowsLimit{4};

std::string JsonOf(const std::vector<std::pair<AgentId, int>>& agent_limits) {
  if (agent_limits.empty()) return "{}";
  nlohmann::json limits = nlohmann::json::object();
  for (const auto& [agent, limit] : agent_limits) limits[agent.get()] = limit;
  return limits.dump();
}

// True when an agent gave as many rows as an agent may, so that it may have more.
bool AnAgentReachedItsLimit(const std::vector<Candidate>& candidates, const ClaimLimits& limits) {
  int rows = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::string_view agent = candidates[i].agent_id;
    rows = i > 0 && agent == candidates[i - 1].agent_id ? rows + 1 : 1;
    if (rows == limits.per_agent && std::ranges::find(limits.agent_limits, agent, [](const auto& limit) {
                                      return std::string_view(limit.first.get());
                                    }) == limits.agent_limits.end()) {
      return true;
    }
  }
  return false;
}

// What the judge decided, as the arrays of kTake.
class Verdicts {
 public:
  void Add(std::string_view place, const Send& send) { Add(place, Outcome::kInFlight, send.url, ""); }
  void Add(std::string_view place, const Finish& finish) {
    Add(place, finish.outcome, finish.url, finish.error);
  }

  std::size_t size() const { return size_; }

  // Throws Refused when a row that is locked by this claim is gone nevertheless.
  void Take(Transaction& transaction, DatabaseTime claimed_at, const std::string& instance,
            const ClaimId& claim_id) && {
    const pqxx::result taken = transaction.ExecPrepared(
        kTake, std::move(places_).Close(), std::move(urls_).Close(), std::move(outcomes_).Close(),
        std::move(errors_).Close(), ToMicroseconds(claimed_at), ToStorableText(instance),
        claim_id.get().ToString());
    if (static_cast<std::size_t>(taken.affected_rows()) != size_) {
      throw Refused("the outbox changed under a claim's locks; nothing was claimed", "");
    }
  }

 private:
  void Add(std::string_view place, Outcome outcome, const std::string& url, const std::string& error) {
    ++size_;
    places_.Add(place);
    urls_.AddUnlessEmpty(url);
    outcomes_.Add(ToString(outcome));
    errors_.AddUnlessEmpty(error);
  }

  std::size_t size_ = 0;
  ArrayLiteral places_, urls_, outcomes_, errors_;
};

Candidate CandidateOf(const pqxx::row& row) {
  return {.id = DeliveryId(row[0].as<std::int64_t>()),
          .call_id = TextOf(row[1]),
          .agent_id = TextOf(row[2]),
          .cause = CauseFrom(TextOf(row[3])).value(),
          .enqueued_at = MomentOf(row[4]),
          .due_at = MomentOf(row[5]),
          .returns = row[6].as<int>(),
          .unread = row[8].as<int>()};
}

// An empty agent is not known yet, for webhook_enqueue could not read the call. It stays empty when the call
// is gone. What is returned holds the texts of what was found. Throws Unreadable or TooMany.
pqxx::result FindAgents(Transaction& transaction, const ClaimLimits& limits,
                        std::vector<Candidate>& candidates, std::vector<std::string_view>& places) {
  std::vector<Candidate> unknown;
  ArrayLiteral literal;
  for (const Candidate& candidate : candidates) {
    if (!candidate.agent_id.empty()) continue;
    unknown.push_back(candidate);
    literal.Add(candidate.id.get());
  }
  if (unknown.empty()) return {};
  const std::string ids = std::move(literal).Close();
  pqxx::result found = Reads(unknown, limits, [&] { return transaction.Exec(kFindAgents, ids); });
  for (const pqxx::row& row : found) {
    const auto of = std::ranges::find(candidates, DeliveryId(row[0].as<std::int64_t>()), &Candidate::id);
    of->agent_id = TextOf(row[1]);
    places[static_cast<std::size_t>(of - candidates.begin())] = TextOf(row[2]);
  }
  return found;
}

// Asks the judge about each row. Throws Unreadable or TooMany.
Verdicts AskJudge(Transaction& transaction, const pqxx::result& rows, const ClaimLimits& limits,
                  const Judge& judge, Claimed& claimed) {
  std::vector<Candidate> candidates;
  std::vector<std::string_view> places;
  for (const pqxx::row& row : rows) {
    candidates.push_back(CandidateOf(row));
    places.push_back(TextOf(row[7]));
  }
  claimed.candidates = static_cast<int>(candidates.size());
  claimed.last_agent = AgentId(std::string(candidates.back().agent_id));
  claimed.more = claimed.candidates == limits.max_rows || AnAgentReachedItsLimit(candidates, limits);

  const pqxx::result found = FindAgents(transaction, limits, candidates, places);
  const AgentSettingsText settings =
      Reads(candidates, limits, [&] { return AgentSettingsText(transaction, candidates); });
  Verdicts verdicts;
  std::vector<Candidate> admitted;
  std::vector<std::string_view> admitted_places;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Candidate& candidate = candidates[i];
    candidate.settings = settings.of(candidate.agent_id);
    const auto verdict = judge.admit(candidate);
    if (std::holds_alternative<Leave>(verdict)) continue;
    // Of the row as it was picked: the next claim goes on from there.
    claimed.last_agent = AgentId(std::string(TextOf(rows[static_cast<pqxx::result::size_type>(i)][2])));
    if (const auto* finish = std::get_if<Finish>(&verdict)) {
      claimed.finished.push_back(candidate.id);
      verdicts.Add(places[i], *finish);
    } else {
      admitted.push_back(candidate);
      admitted_places.push_back(places[i]);
    }
  }
  if (admitted.empty()) return verdicts;

  // One that could not be read before is read alone, so that it holds up no other again: those before it now,
  // and it when it comes first.
  const auto unread = std::ranges::find_if(admitted, [](const Candidate& row) { return row.unread > 0; });
  if (unread == admitted.begin() && limits.max_rows > 1) throw TooMany{1};
  const std::vector<Candidate> wanted(admitted.begin(), limits.max_rows > 1 ? unread : admitted.end());
  const Calls calls = Reads(wanted, limits, [&] { return Calls(transaction, wanted, limits.max_bytes); });
  if (calls.size() < admitted.size()) {
    claimed.more = true;
    claimed.last_agent = AgentId(std::string(admitted[calls.size() - 1].agent_id));
  }
  for (std::size_t i = 0; i < calls.size(); ++i) {
    admitted[i].call = calls.at(i);
    const auto verdict = judge.decide(admitted[i]);
    if (const auto* send = std::get_if<Send>(&verdict)) {
      claimed.sent.push_back(admitted[i].id);
      verdicts.Add(admitted_places[i], *send);
    } else if (const auto* finish = std::get_if<Finish>(&verdict)) {
      claimed.finished.push_back(admitted[i].id);
      verdicts.Add(admitted_places[i], *finish);
    }
  }
  return verdicts;
}

// Who claims, and as what.
struct Claimer {
  const DispatcherId& dispatcher;
  const ClaimId& claim_id;
  const std::string& instance;
};

std::variant<Claimed, InDoubt> WriteAndCommit(Transaction& transaction, const Claimer& claimer,
                                              Verdicts&& verdicts, Claimed&& claimed) {
  claimed.fence = Steady::now();
  const Heartbeat heartbeat = MoveHeartbeat(transaction, claimer.dispatcher, claimer.instance);
  claimed.anchor = {.at = heartbeat.at, .steady = Steady::now()};
  std::move(verdicts).Take(transaction, heartbeat.at, claimer.instance, claimer.claim_id);
  try {
    transaction.Commit();  // before anything is sent: a crash must count as an attempt
  } catch (const CommitInDoubt&) {
    return InDoubt{.claimed = std::move(claimed), .transaction_id = heartbeat.transaction_id};
  }
  return std::move(claimed);
}

// Throws Unreadable or TooMany, with nothing written.
std::variant<Claimed, InDoubt> ClaimInOneTransaction(Session& session, const Claimer& claimer,
                                                     const ClaimLimits& limits, const Judge& judge) {
  Claimed claimed;
  claimed.claim_id = claimer.claim_id;
  claimed.last_agent = limits.after;
  if (limits.max_rows <= 0) return claimed;

  const std::string settings = std::string(Transaction::kLookUps) + kRipen;
  Transaction transaction(session, settings.c_str(), limits.max_rows > 1 ? kManyRowsLimit : kStatementLimit);
  const pqxx::result rows = transaction.ExecPrepared(kPick, limits.after.get(), limits.max_rows,
                                                     limits.per_agent, JsonOf(limits.agent_limits));
  if (rows.empty()) {
    transaction.Commit();  // what became ready
    return claimed;
  }
  Verdicts verdicts = AskJudge(transaction, rows, limits, judge, claimed);
  if (verdicts.size() == 0) {
    transaction.Commit();
    judge.forget();
    return claimed;
  }
  return WriteAndCommit(transaction, claimer, std::move(verdicts), std::move(claimed));
}

// The one row that cannot be read: to be tried again later, or, at last, to end with that.
std::variant<Claimed, InDoubt> SetAside(Session& session, const Claimer& claimer, const Judge& judge,
                                        const Unreadable& row) {
  const bool is_last = row.unread >= kMaxPostponed;
  log::Error(
      is_last ? "a call cannot be read and is given up" : "a call cannot be read and is tried again later",
      {{"call", row.call}, {"tries", row.unread + 1}, {"error", row.error}});
  Claimed claimed;
  claimed.claim_id = claimer.claim_id;
  claimed.last_agent = row.agent;
  claimed.more = true;
  Transaction transaction(session, Transaction::kLookUps);
  if (!is_last) {
    transaction.Exec(kPostpone, row.row.get());
    transaction.Commit();
    return claimed;
  }
  const pqxx::result place = transaction.Exec(kLock, row.row.get());
  if (place.empty()) return claimed;  // another dispatcher's by now
  const std::string agent = row.agent.get();
  Verdicts verdicts;
  verdicts.Add(TextOf(place[0][0]), judge.give_up({.id = row.row,
                                                   .call_id = row.call,
                                                   .agent_id = agent,
                                                   .cause = row.cause,
                                                   .enqueued_at = {},
                                                   .due_at = {},
                                                   .unread = row.unread}));
  claimed.finished.push_back(row.row);
  return WriteAndCommit(transaction, claimer, std::move(verdicts), std::move(claimed));
}

}  // namespace

std::variant<Claimed, InDoubt> Claim(Session& session, const DispatcherId& dispatcher,
                                     const ClaimId& claim_id, const std::string& instance,
                                     const ClaimLimits& limits, const Judge& judge) {
  const Claimer claimer = {dispatcher, claim_id, instance};
  try {
    try {
      return ClaimInOneTransaction(session, claimer, limits, judge);
    } catch (const Unreadable& unreadable) {
      judge.forget();
      return SetAside(session, claimer, judge, unreadable);
    } catch (const TooMany& too_many) {
      judge.forget();
      Claimed claimed;
      claimed.claim_id = claim_id;
      claimed.last_agent = limits.after;
      claimed.more = true;
      claimed.rows_next = too_many.rows_next;
      return claimed;
    }
  } catch (...) {
    judge.forget();
    throw;
  }
}

}  // namespace postcall::store
