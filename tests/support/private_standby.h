// A hot standby of a private PostgreSQL, with physical streaming replication. The primary's commits wait for
// it. One thread at a time, as for ServerProcess.
#pragma once

#include <filesystem>
#include <memory>

#include "tests/support/private_postgres.h"
#include "tests/support/server_process.h"

namespace postcall::test {

class PrivateStandby {
 public:
  // Copies the primary, which is restarted for that, and streams from it. From then on the primary answers a
  // commit only after the standby has it. The primary must live longer. Throws std::runtime_error with the
  // server's log.
  explicit PrivateStandby(PrivatePostgres& primary);
  ~PrivateStandby();
  PrivateStandby(const PrivateStandby&) = delete;
  PrivateStandby& operator=(const PrivateStandby&) = delete;

  // From now on commits wait.
  void Stop();
  // Waits until the primary streams to it.
  void Start();

 private:
  PrivatePostgres& primary_;
  std::filesystem::path folder_;
  std::unique_ptr<ServerProcess> server_;
};

}  // namespace postcall::test
