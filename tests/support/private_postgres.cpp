#include "tests/support/private_postgres.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "common/clock.h"
#include "common/handle.h"
#include "dispatcher/store/migrate.h"

namespace postcall::test {
namespace {

namespace fs = std::filesystem;

constexpr auto kStartLimit = std::chrono::seconds(60);
constexpr auto kPause = std::chrono::milliseconds(5);  // a process that starts has no event to wait for

// PRIVATE_POSTGRES_BIN, or the newest version that Debian's packages installed.
fs::path FindBinaries() {
  if (const char* given = std::getenv("PRIVATE_POSTGRES_BIN")) return given;
  fs::path newest;
  int newest_version = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", none)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version > newest_version && fs::exists(entry.path() / "bin" / "initdb")) {
      newest_version = version;
      newest = entry.path() / "bin";
    }
  }
  if (newest.empty()) throw std::runtime_error("no PostgreSQL server: set PRIVATE_POSTGRES_BIN");
  return newest;
}

// In memory when there is enough: with hundreds of small databases, most of the work is creating and removing
// files.
fs::path ParentFolder(bool fsync) {
  constexpr std::uintmax_t kPlenty = std::uintmax_t{4} << 30;
  std::error_code none;
  fs::path memory = "/dev/shm";
  const fs::space_info space = fs::space(memory, none);
  if (!fsync && !none && space.available >= kPlenty && ::access(memory.c_str(), W_OK) == 0) return memory;
  return fs::temp_directory_path();
}

constexpr std::string_view kFolderName = "postcall-postgres-";

// A folder is locked while its process lives. No value when another process has the lock.
FileDescriptor LockFolder(const fs::path& folder) {
  FileDescriptor lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) lock.reset();
  return lock;
}

// Removes folders of processes that were killed. It leaves folders younger than a minute, because one may be
// made but not locked yet.
void RemoveAbandonedFolders(const fs::path& parent) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    if (!entry.path().filename().string().starts_with(kFolderName)) continue;
    const auto age = fs::file_time_type::clock::now() - fs::last_write_time(entry, ignored);
    if (age > std::chrono::minutes(1) && LockFolder(entry)) fs::remove_all(entry, ignored);
  }
}

}  // namespace

PrivatePostgres::PrivatePostgres(PostgresOptions options)
    : options_(std::move(options)), binaries_(FindBinaries()) {
  const fs::path parent = ParentFolder(options_.fsync);
  RemoveAbandonedFolders(parent);
  std::string name = (parent / kFolderName).string() + "XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  lock_ = LockFolder(folder_);
  try {
    GiveToServerUser(folder_);
    ServerProcess initdb(
        {(binaries_ / "initdb").string(), "--pgdata=" + (folder_ / "data").string(), "--username=postgres",
         "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"},
        folder_, "initdb.log");
    if (initdb.Wait() != 0) throw std::runtime_error("initdb failed: " + ReadFile(folder_ / "initdb.log"));

    // Another process may take the port between our check and the server's bind.
    for (int attempt = 1;; ++attempt) {
      port_ = FreePort();
      try {
        Start();
        break;
      } catch (const std::runtime_error&) {
        if (attempt == 3) throw;
      }
    }
  } catch (...) {
    RemoveFolder();
    throw;
  }
}

PrivatePostgres::~PrivatePostgres() {
  Stop(StopMode::kImmediate);
  RemoveFolder();
}

void PrivatePostgres::RemoveFolder() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void PrivatePostgres::Start() {
  std::vector<std::string> words = {(binaries_ / "postgres").string(), "-D", (folder_ / "data").string()};
  const auto set = [&words](const std::string& setting) { words.insert(words.end(), {"-c", setting}); };
  set("port=" + std::to_string(port_));
  set("listen_addresses=127.0.0.1");
  set("unix_socket_directories=" + folder_.string());
  set("max_connections=200");
  set("max_wal_size=256MB");
  if (!options_.fsync) {
    set("fsync=off");
    set("full_page_writes=off");
  }
  for (const std::string& setting : options_.settings) set(setting);
  server_ = std::make_unique<ServerProcess>(words, folder_, "postgres.log");

  const SteadyTime deadline = Steady::now() + kStartLimit;
  while (::PQping(Url().c_str()) != PQPING_OK) {
    int status = 0;
    if (server_->HasEnded(status)) throw std::runtime_error("PostgreSQL did not start: " + log());
    if (Steady::now() >= deadline) {
      Stop(StopMode::kImmediate);
      throw std::runtime_error("PostgreSQL did not become ready: " + log());
    }
    std::this_thread::sleep_for(kPause);
  }
}

void PrivatePostgres::Stop(StopMode how) {
  if (server_) server_->End(how == StopMode::kFast ? SIGINT : SIGQUIT);
}

void PrivatePostgres::Restart(StopMode how) {
  Stop(how);
  Start();
}

std::string PrivatePostgres::Url(const std::string& database, const std::string& user) const {
  return "postgresql://" + user + "@/" + database + "?host=" + folder_.string() +
         "&port=" + std::to_string(port_);
}

std::string PrivatePostgres::TcpUrl(const std::string& database, const std::string& user) const {
  return "postgresql://" + user + "@127.0.0.1:" + std::to_string(port_) + "/" + database;
}

std::string PrivatePostgres::NewDatabase(const std::string& copy_of) {
  std::string name = "test_" + std::to_string(++databases_);
  Execute("CREATE DATABASE " + name + " TEMPLATE " + copy_of);
  return name;
}

std::string PrivatePostgres::CreateDatabase() { return Url(NewDatabase("template1")); }

std::string PrivatePostgres::CopyDatabase(const std::string& source_database) {
  return Url(NewDatabase(source_database));
}

std::string PrivatePostgres::CreateMigratedDatabase() {
  if (migrated_database_.empty()) {
    const std::string made = NewDatabase("template1");
    const auto migrated = store::Migrate({.url = Url(made), .application_name = "private_postgres"});
    if (!migrated) throw std::runtime_error("migrate: " + migrated.error());
    migrated_database_ = made;
  }
  return CopyDatabase(migrated_database_);
}

std::string PrivatePostgres::Execute(const std::string& statement, const std::string& database) const {
  const Handle<PGconn, PQfinish> connection(::PQconnectdb(Url(database).c_str()));
  const Handle<PGresult, PQclear> result(::PQexec(connection.get(), statement.c_str()));
  const ExecStatusType status = ::PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    throw std::runtime_error(statement + ": " + ::PQerrorMessage(connection.get()));
  }
  return ::PQntuples(result.get()) > 0 ? ::PQgetvalue(result.get(), 0, 0) : "";
}

std::string PrivatePostgres::log() const { return ReadFile(folder_ / "postgres.log"); }

PrivatePostgres& SharedPostgres() {
  static PrivatePostgres shared;
  return shared;
}

}  // namespace postcall::test
