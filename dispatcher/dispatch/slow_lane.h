// Claims the calls of slow readers, one by one, on a thread and a connection of its own: reading one may take
// seconds, and no other agent's call waits for it. Connected only while there are such agents.
#pragma once

#include <functional>
#include <string>

#include "common/progress.h"
#include "common/worker.h"
#include "dispatcher/dispatch/claims.h"
#include "dispatcher/dispatch/slow_readers.h"
#include "dispatcher/postgres/database.h"

namespace postcall::dispatch {

class SlowLane {
 public:
  // `may_claim`: outcomes can be recorded, and the network is up. Called on this lane's thread.
  SlowLane(const postgres::DatabaseOptions& database, const ClaimContext& context, SlowReaders& readers,
           std::function<bool()> may_claim, Progress& progress);
  ~SlowLane();

  void Start();
  // Cuts a read short. Any thread.
  void Drain();
  // Ends the thread and closes the connection. Idempotent.
  void Stop();

 private:
  void Run();
  bool ClaimOne();
  bool Note(const ClaimMade& made);
  bool Note(ClaimInDoubt& doubt);
  bool Note(const store::Nothing& nothing);
  bool Note(const store::TooMany& too_many);
  bool Note(const store::Unreadable& unreadable);
  void Settle(ClaimInDoubt claim);
  void LogUndecided(const std::string& why);

  postgres::Session session_;
  const ClaimContext context_;
  SlowReaders& readers_;
  const std::function<bool()> may_claim_;
  Claims claims_;
  AgentId last_agent_;
  std::string said_;  // the last failure's reason, as logged

  Worker worker_;
};

}  // namespace postcall::dispatch
