// PgBouncer (Debian's package) in transaction mode, in front of a private PostgreSQL: clients share a few
// server connections, and each of their transactions may use another connection. One thread at a time, as for
// ServerProcess.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/private_postgres.h"
#include "tests/support/server_process.h"

namespace postcall::test {

class PgBouncer {
 public:
  // Starts it and waits until it is ready, with `pool_size` server connections per database. Throws
  // std::runtime_error with its log.
  PgBouncer(const PrivatePostgres& postgres, int pool_size);
  ~PgBouncer();

  // A URL for TCP, without a password, for the server's superuser.
  std::string Url(const std::string& database) const;
  std::string log() const { return ReadFile(folder_ / "pgbouncer.log"); }

 private:
  void Start(const PrivatePostgres& postgres, int pool_size);

  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace postcall::test
