#include "tests/torture/whims.h"

#include <array>
#include <tuple>
#include <utility>

#include "tests/torture/book.h"

namespace postcall::test {
namespace {

constexpr int kCalls = 10;  // per transaction
constexpr int kAgents = 8;  // of each kind

// These settings have no URL, so nothing is enqueued.
constexpr std::array<const char*, 5> kShapeless = {"5", R"("text")", R"([{"webhooks": {}}])", "null",
                                                   R"({"webhooks": "text"})"};
// `URL` is replaced by a good URL.
constexpr std::array<const char*, 6> kInvalid = {
    R"({"webhooks": {"postCall": ["URL"]}})",
    R"({"webhooks": {"postCall": "URL", "headers": {"X-A": "a\r\nX-Injected: 1"}}})",
    R"({"webhooks": {"postCall": "URL", "headers": {"X-A\r\nX-Injected": "1"}}})",
    R"({"webhooks": {"postCall": "URL", "headers": {"content-LENGTH": "1"}}})",
    R"({"webhooks": {"postCall": "URL", "headers": ["X-A: 1"]}})",
    R"({"webhooks": {"postCall": "URL", "secret": "whsec_not base64!"}})",
};

const Expectation kDelivered{.outcomes = {"delivered"}};
const Expectation kDeliveredUnlessGone{.outcomes = {"delivered", "skipped"}};
const Expectation kNothing{.enqueued = false};

void Insert(pqxx::transaction_base& work, const std::string& prefix, const std::string& agent,
            const std::string& status) {
  work.exec_params(
      "INSERT INTO calls (id, agent_id, status) SELECT $1 || n, $2, $3 FROM generate_series(1, $4::int) n",
      prefix, agent, status, kCalls);
}

void SetStatus(pqxx::transaction_base& work, const std::string& prefix, const std::string& status) {
  work.exec_params(
      "UPDATE calls SET status = $2 WHERE id IN (SELECT $1 || n FROM generate_series(1, $3::int) n)", prefix,
      status, kCalls);
}

void Delete(pqxx::transaction_base& work, const std::string& prefix) {
  work.exec_params("DELETE FROM calls WHERE id IN (SELECT $1 || n FROM generate_series(1, $2::int) n)",
                   prefix, kCalls);
}

// With an empty `url`, the settings have no URL.
void SetUrl(pqxx::transaction_base& work, const std::string& agent, const std::string& url) {
  work.exec_params(
      "UPDATE agents SET settings = CASE WHEN $2 = '' THEN '{}' ELSE"
      " jsonb_build_object('webhooks', jsonb_build_object('postCall', $2::text)) END WHERE id = $1",
      agent, url);
}

void InTransaction(pqxx::connection& connection, const std::function<void(pqxx::work&)>& statements) {
  pqxx::work work(connection);
  statements(work);
  work.commit();
}

}  // namespace

Whims::Whims(std::string database_url, std::vector<std::string> urls, std::mt19937& random)
    : database_url_(std::move(database_url)), urls_(std::move(urls)), random_(random) {
  pqxx::connection connection(database_url_);
  InTransaction(connection, [&](pqxx::work& work) {
    for (const std::string kind : {"whim-", "fickle-"}) {
      work.exec_params("INSERT INTO agents (id) SELECT $1 || n FROM generate_series(1, $2::int) n", kind,
                       kAgents);
      for (int n = 1; n <= kAgents; ++n) SetUrl(work, kind + std::to_string(n), urls_.front());
    }
    const std::string insert = "INSERT INTO agents (id, settings) VALUES ($1, replace($2, 'URL', $3)::jsonb)";
    for (std::size_t n = 0; n < kShapeless.size(); ++n) {
      work.exec_params(insert, "shapeless-" + std::to_string(n), kShapeless[n], urls_.front());
    }
    for (std::size_t n = 0; n < kInvalid.size(); ++n) {
      work.exec_params(insert, "invalid-" + std::to_string(n), kInvalid[n], urls_.front());
    }
  });
}

std::vector<Whims::Whim> Whims::Kinds() {
  return {
      {"COPY", [this](auto& connection) { CopyCalls(connection); }},
      {"upsert", [this](auto& connection) { Upsert(connection); }},
      {"status flips", [this](auto& connection) { FlipStatus(connection); }},
      {"calls deleted, then inserted again", [this](auto& connection) { DeleteAndInsert(connection); }},
      {"calls deleted and inserted at once", [this](auto& connection) { DeleteAndInsertAtOnce(connection); }},
      {"URL changes", [this](auto& connection) { ChangeUrl(connection); }},
      {"import", [this](auto& connection) { Import(connection); }},
      {"details around the status", [this](auto& connection) { WriteDetailsAround(connection); }},
      {"bad settings", [this](auto& connection) { UseBadSettings(connection); }},
  };
}

void Whims::Act(const Whim& whim) const {
  pqxx::connection connection(database_url_);
  whim.act(connection);
}

std::string Whims::NewPrefix(const std::string& kind) { return kind + "-" + std::to_string(++number_) + "-"; }

std::string Whims::AnyAgent() { return "whim-" + std::to_string(1 + random_() % kAgents); }

void Whims::CopyCalls(pqxx::connection& connection) {
  const std::string prefix = NewPrefix("copied");
  const std::string agent = AnyAgent();
  InTransaction(connection, [&](pqxx::work& work) {
    Book::Write(work, prefix, kCalls, kDelivered);
#if PQXX_VERSION_MAJOR < 7
    pqxx::stream_to copy(work, "calls", std::vector<std::string>{"id", "agent_id", "status"});
#else
    auto copy = pqxx::stream_to::table(work, {"calls"}, {"id", "agent_id", "status"});
#endif
    for (int n = 1; n <= kCalls; ++n) copy << std::make_tuple(prefix + std::to_string(n), agent, "completed");
    copy.complete();
  });
}

// For new calls, for known calls, and for calls that are completed already.
void Whims::Upsert(pqxx::connection& connection) {
  const std::string prefix = NewPrefix("upserted");
  const std::string agent = AnyAgent();
  if (random_() % 2 == 0) {
    InTransaction(connection, [&](pqxx::work& work) { Insert(work, prefix, agent, "in_progress"); });
  }
  for (const bool first : {true, false}) {
    InTransaction(connection, [&](pqxx::work& work) {
      if (first) Book::Write(work, prefix, kCalls, kDelivered);
      work.exec_params(
          "INSERT INTO calls (id, agent_id, status)"
          " SELECT $1 || n, $2, 'completed' FROM generate_series(1, $3::int) n"
          " ON CONFLICT (id) DO UPDATE SET status = excluded.status",
          prefix, agent, kCalls);
    });
  }
}

void Whims::FlipStatus(pqxx::connection& connection) {
  const std::string prefix = NewPrefix("flipped");
  const std::string agent = AnyAgent();
  InTransaction(connection, [&](pqxx::work& work) {
    Book::Write(work, prefix, kCalls, kDelivered);
    Insert(work, prefix, agent, "completed");
    SetStatus(work, prefix, "in_progress");
    SetStatus(work, prefix, "completed");
  });
  for (const std::string status : {"in_progress", "completed", "failed", "completed"}) {
    InTransaction(connection, [&](pqxx::work& work) { SetStatus(work, prefix, status); });
  }
}

void Whims::DeleteAndInsert(pqxx::connection& connection) {
  const std::string prefix = NewPrefix("deleted");
  const std::string agent = AnyAgent();
  InTransaction(connection, [&](pqxx::work& work) {
    Book::Write(work, prefix, kCalls, kDeliveredUnlessGone);
    Insert(work, prefix, agent, "completed");
  });
  InTransaction(connection, [&](pqxx::work& work) { Delete(work, prefix); });
  InTransaction(connection, [&](pqxx::work& work) { Insert(work, prefix, agent, "completed"); });
}

// It is one transaction, so no other one sees the deleted rows, and nothing is skipped.
void Whims::DeleteAndInsertAtOnce(pqxx::connection& connection) {
  const std::string prefix = NewPrefix("renewed");
  const std::string agent = AnyAgent();
  InTransaction(connection, [&](pqxx::work& work) {
    Book::Write(work, prefix, kCalls, kDelivered);
    Insert(work, prefix, agent, "completed");
  });
  InTransaction(connection, [&](pqxx::work& work) {
    Delete(work, prefix);
    Insert(work, prefix, agent, "completed");
  });
}

// A call that is completed while there is no URL is declined and never sent later.
void Whims::ChangeUrl(pqxx::connection& connection) {
  const std::string agent = "fickle-" + std::to_string(1 + random_() % kAgents);
  const std::string before = NewPrefix("url-before");
  const std::string without = NewPrefix("url-without");
  const std::string after = NewPrefix("url-after");
  const std::string& next = urls_[random_() % urls_.size()];
  InTransaction(connection, [&](pqxx::work& work) {
    SetUrl(work, agent, urls_.front());
    Book::Write(work, before, kCalls, kDeliveredUnlessGone);
    Insert(work, before, agent, "completed");
  });
  InTransaction(connection, [&](pqxx::work& work) {
    SetUrl(work, agent, "");
    Book::Write(work, without, kCalls, kNothing);
    Insert(work, without, agent, "completed");
  });
  InTransaction(connection, [&](pqxx::work& work) {
    SetUrl(work, agent, next);
    Book::Write(work, after, kCalls, kDeliveredUnlessGone);
    Insert(work, after, agent, "completed");
    SetStatus(work, without, "in_progress");
    SetStatus(work, without, "completed");
  });
}

// Sends nothing, now or later, except the calls that were not over yet.
void Whims::Import(pqxx::connection& connection) {
  const std::string over = NewPrefix("imported");
  const std::string running = NewPrefix("imported-running");
  const std::string agent = AnyAgent();
  InTransaction(connection, [&](pqxx::work& work) {
    work.exec("SET LOCAL postcall.enqueue = 'off'");
    Book::Write(work, over, kCalls, kNothing);
    Insert(work, over, agent, "completed");
    Insert(work, running, agent, "in_progress");
  });
  InTransaction(connection, [&](pqxx::work& work) {
    SetStatus(work, over, "in_progress");
    SetStatus(work, over, "completed");
  });
  InTransaction(connection, [&](pqxx::work& work) {
    Book::Write(work, running, kCalls, kDelivered);
    SetStatus(work, running, "completed");
  });
}

void Whims::WriteDetailsAround(pqxx::connection& connection) {
  const std::string prefix = NewPrefix("detailed");
  const std::string agent = AnyAgent();
  const std::string calls = " FROM calls WHERE id IN (SELECT $1 || n FROM generate_series(1, $2::int) n)";
  const bool analysis_first = random_() % 2 == 0;
  const std::string analysis =
      "INSERT INTO call_analysis (call_id, summary, score) SELECT id, $1, 'NaN'" + calls;
  const std::string details = "INSERT INTO caller_details (call_id, name) SELECT id, $1" + calls;
  InTransaction(connection, [&](pqxx::work& work) {
    Book::Write(work, prefix, kCalls,
                {.outcomes = {"delivered"},
                 .words = R"("callerDetails":{"name":")" + prefix + R"("},"callAnalysis":{"summary":")" +
                          prefix + "\"}"});
    Insert(work, prefix, agent, "in_progress");
    work.exec_params(analysis_first ? analysis : details, prefix, kCalls);
    SetStatus(work, prefix, "completed");
    work.exec_params(analysis_first ? details : analysis, prefix, kCalls);
  });
}

void Whims::UseBadSettings(pqxx::connection& connection) {
  const std::string shapeless = NewPrefix("shapeless");
  const std::string invalid = NewPrefix("invalid");
  InTransaction(connection, [&](pqxx::work& work) {
    Book::Write(work, shapeless, kCalls, kNothing);
    Insert(work, shapeless, "shapeless-" + std::to_string(random_() % kShapeless.size()), "completed");
    Book::Write(work, invalid, kCalls, {.outcomes = {"invalid_settings"}});
    Insert(work, invalid, "invalid-" + std::to_string(random_() % kInvalid.size()), "completed");
  });
}

std::unique_ptr<Whims::OpenTransaction> Whims::Open() {
  const std::string prefix = NewPrefix("held");
  pqxx::connection connection(database_url_);
  InTransaction(connection, [&](pqxx::work& work) {
    Insert(work, prefix, AnyAgent(), "in_progress");
    Insert(work, prefix + "locked-", AnyAgent(), "in_progress");
  });
  return std::make_unique<OpenTransaction>(database_url_, prefix);
}

Whims::OpenTransaction::OpenTransaction(const std::string& database_url, const std::string& prefix)
    : connection_(database_url), work_(connection_) {
  Book::Write(work_, prefix, kCalls, kDelivered);
  SetStatus(work_, prefix, "completed");
  work_.exec("SELECT FROM calls WHERE starts_with(id, " + work_.quote(prefix + "locked-") + ") FOR UPDATE");
}

void Whims::OpenTransaction::Commit() { work_.commit(); }

}  // namespace postcall::test
