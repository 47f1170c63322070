// A PostgreSQL server of the test's own: a fresh cluster in a temporary folder, reached by a unix socket
// there and by a free TCP port of 127.0.0.1. Gone without a trace when the object goes. One thread at a time;
// start it on a thread that outlives it, for the server ends with the thread that started it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/handle.h"
#include "tests/support/server_process.h"

namespace postcall::test {

struct PostgresOptions {
  // The disk's word is only waited for by tests that pull the plug.
  bool fsync = false;
  std::vector<std::string> settings;  // more of postgresql.conf, as "name=value"
};

class PrivatePostgres {
 public:
  enum class StopMode {
    kFast,       // rolls open transactions back and leaves in order
    kImmediate,  // as a crash: recovery at the next start
  };

  // Made and started. Throws std::runtime_error with the end of the server's log. As root, the server runs as
  // the user postgres, or nobody: it refuses to run as root.
  explicit PrivatePostgres(PostgresOptions options = {});
  ~PrivatePostgres();
  PrivatePostgres(const PrivatePostgres&) = delete;
  PrivatePostgres& operator=(const PrivatePostgres&) = delete;

  // Until it accepts connections; the port stays the same.
  void Start();
  // Until it is gone. Nothing when it is not running.
  void Stop(StopMode how);
  void Restart(StopMode how);

  // Without a password, by the unix socket or by TCP. The user postgres is the superuser.
  std::string Url(const std::string& database = "postgres", const std::string& user = "postgres") const;
  std::string TcpUrl(const std::string& database = "postgres", const std::string& user = "postgres") const;

  // A new database for one test; returns its Url. It goes with the server.
  std::string CreateDatabase();                                  // empty
  std::string CreateMigratedDatabase();                          // as `migrate` leaves it
  std::string CopyDatabase(const std::string& source_database);  // by name; nobody may be connected to it

  // One statement as the superuser, outside of a transaction; the first column of its first row, or empty.
  std::string Execute(const std::string& statement, const std::string& database = "postgres") const;

  pid_t pid() const { return server_->pid(); }
  std::uint16_t port() const { return port_; }
  // Where the socket is.
  std::string folder() const { return folder_.string(); }
  std::string log() const;

 private:
  std::string NewDatabase(const std::string& copy_of);  // returns its name
  void RemoveFolder();

  PostgresOptions options_;
  std::filesystem::path binaries_;
  std::filesystem::path folder_;
  FileDescriptor lock_;  // tells other processes that the folder is in use
  std::uint16_t port_ = 0;
  std::unique_ptr<ServerProcess> server_;
  int databases_ = 0;
  std::string migrated_database_;  // what CreateMigratedDatabase copies, for to migrate takes longer
};

// One server for all tests of this process, started by the first who asks and ended when the process exits.
PrivatePostgres& SharedPostgres();

}  // namespace postcall::test
