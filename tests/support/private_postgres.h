// A PostgreSQL server for tests: a new cluster in a temporary folder, with a unix socket there and a free TCP
// port of 127.0.0.1. The destructor removes everything. One thread at a time; start it on a thread that
// outlives it, because the server ends with the thread that started it.
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
  // Only tests that simulate a power failure wait for the disk.
  bool fsync = false;
  std::vector<std::string> settings;  // more of postgresql.conf, as "name=value"
};

class PrivatePostgres {
 public:
  enum class StopMode {
    kFast,       // rolls back open transactions and stops normally
    kImmediate,  // like a crash: the next start makes a recovery
  };

  // Makes the cluster and starts the server. Throws std::runtime_error with the end of the server's log. When
  // the test is root, the server runs as an unprivileged user, because it refuses to run as root.
  explicit PrivatePostgres(PostgresOptions options = {});
  ~PrivatePostgres();
  PrivatePostgres(const PrivatePostgres&) = delete;
  PrivatePostgres& operator=(const PrivatePostgres&) = delete;

  // Waits until it accepts connections. The port stays the same.
  void Start();
  // Waits until it has ended. Does nothing when it is not running.
  void Stop(StopMode how);
  void Restart(StopMode how);

  // Without a password, by the unix socket or by TCP. The user postgres is the superuser.
  std::string Url(const std::string& database = "postgres", const std::string& user = "postgres") const;
  std::string TcpUrl(const std::string& database = "postgres", const std::string& user = "postgres") const;

  // Each makes a new database for one test and returns its URL. It is removed with the server.
  std::string CreateDatabase();                                  // empty
  std::string CreateMigratedDatabase();                          // as `migrate` leaves it
  std::string CopyDatabase(const std::string& source_database);  // by name; it must have no connections

  // Runs one statement as the superuser, outside a transaction; returns the first column of the first row, or
  // an empty text.
  std::string Execute(const std::string& statement, const std::string& database = "postgres") const;

  pid_t pid() const { return server_->pid(); }
  std::uint16_t port() const { return port_; }
  // The path of a program of the same installation.
  std::string Program(const std::string& name) const { return (binaries_ / name).string(); }
  // The folder of the socket.
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
  std::string migrated_database_;  // CreateMigratedDatabase copies it, because migrating takes longer
};

// One server for all tests of this process. The first call starts it; it ends when the process exits.
PrivatePostgres& SharedPostgres();

}  // namespace postcall::test
