#include "dispatcher/store/claim.h"

#include <algorithm>
#include <unordered_set>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/sources.h"
#include "dispatcher/store/unreadable.h"
#include "dispatcher/store/write_claim.h"

namespace postcall::store {
namespace {

// The first position after that row.
RowPosition After(const RowPosition& row) { return {row.due_at, DeliveryId(row.id.get() + 1)}; }

}  // namespace

OpenClaim::OpenClaim(OpenClaim&&) noexcept = default;
OpenClaim::~OpenClaim() = default;

const SettingsAsRead* OpenClaim::SettingsOf(const PickedRow& row) const {
  return settings_->of(row.agent_id.get());
}

void OpenClaim::Finish(PickedRow row, Outcome outcome, std::string url, std::string error) {
  NoteTaken(row);
  finished_.push_back({std::move(row), outcome, std::move(url), std::move(error)});
}

std::variant<OpenClaim::Calls, TooMany, Unreadable> OpenClaim::Read(std::span<const ToSend> admitted) {
  if (admitted.empty()) return Calls{};
  NoteTaken(*admitted.back().row);
  std::vector<const PickedRow*> rows;
  rows.reserve(admitted.size());
  for (const ToSend& each : admitted) rows.push_back(each.row);
  if (auto not_read = TryReading(rows, of_all_, read_limit_, [&] {
        calls_ = std::make_unique<CallsAsRead>(*transaction_, rows, max_bytes_);
      })) {
    return std::visit([](auto& what) -> std::variant<Calls, TooMany, Unreadable> { return std::move(what); },
                      *not_read);
  }
  const Calls calls = calls_->all();
  limits_are_short_ = of_all_ && calls.size() < rows.size();
  if (calls.size() < rows.size()) {
    walk_.more = true;
    const PickedRow& last = *rows[calls.size() - 1];
    walk_.last_agent = last.agent_was_unknown ? AgentId() : last.agent_id;
  }
  return calls;
}

std::vector<AgentProgress> OpenClaim::Progress() const {
  std::vector<AgentProgress> progress;
  progress.reserve(shares_.size());
  for (const Looked& looked : shares_) {
    progress.push_back({looked.agent_id, std::nullopt});
    if (looked.may_have_more)
      progress.back().next = looked.rows.empty() ? looked.from : After(looked.rows.back());
  }
  return progress;
}

Walk OpenClaim::WalkAfter(std::span<const ToSend> rows) const {
  std::unordered_set<DeliveryId> claimed;
  for (const ToSend& each : rows) claimed.insert(each.row->id);
  for (const FinishedRow& finished : finished_) claimed.insert(finished.row.id);
  Walk walk = walk_;
  for (const Looked& looked : shares_) {
    const auto left =
        std::ranges::find_if(looked.rows, [&](const RowPosition& at) { return !claimed.contains(at.id); });
    if (left != looked.rows.end()) walk.left.push_back({looked.agent_id, *left});
  }
  return walk;
}

std::variant<Claimed, InDoubt> OpenClaim::Commit(std::span<const ToSend> rows) && {
  if (rows.empty() && finished_.empty()) {
    transaction_->Commit();  // the agents that were found
    return Claimed{};
  }
  if (limits_are_short_) transaction_->RestoreLimits();
  return WriteClaim(*transaction_, claimer_, rows, std::move(finished_));
}

// The next claim starts after the agent as it was picked, whatever was found out about the row since.
void OpenClaim::NoteTaken(const PickedRow& row) {
  if (last_taken_ && row.position < *last_taken_) return;
  last_taken_ = row.position;
  walk_.last_agent = row.agent_was_unknown ? AgentId() : row.agent_id;
}

}  // namespace postcall::store
