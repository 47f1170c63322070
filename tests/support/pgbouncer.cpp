#include "tests/support/pgbouncer.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "common/clock.h"

namespace postcall::test {
namespace {

constexpr auto kStartLimit = std::chrono::seconds(30);
constexpr auto kPause = std::chrono::milliseconds(5);  // a process that starts has no event to wait for

}  // namespace

PgBouncer::PgBouncer(const PrivatePostgres& postgres, int pool_size) {
  std::string name = (std::filesystem::temp_directory_path() / "postcall-pgbouncer-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  GiveToServerUser(folder_);
  // Another process may take the port between our check and the server's bind.
  for (int attempt = 1;; ++attempt) {
    port_ = FreePort();
    try {
      Start(postgres, pool_size);
      return;
    } catch (const std::runtime_error&) {
      if (attempt == 3) throw;
    }
  }
}

PgBouncer::~PgBouncer() {
  process_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void PgBouncer::Start(const PrivatePostgres& postgres, int pool_size) {
  std::ofstream(folder_ / "pgbouncer.ini")
      << "[databases]\n* = host=" << postgres.folder() << " port=" << postgres.port() << " user=postgres\n"
      << "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " << port_ << "\nunix_socket_dir =\n"
      << "auth_type = any\npool_mode = transaction\ndefault_pool_size = " << pool_size << "\n"
      << "server_login_retry = 1\n";  // the default is 15 s after the server is back
  process_ = std::make_unique<ServerProcess>(
      std::vector<std::string>{"/usr/sbin/pgbouncer", (folder_ / "pgbouncer.ini").string()}, folder_,
      "pgbouncer.log");
  const SteadyTime deadline = Steady::now() + kStartLimit;
  while (::PQping(Url("postgres").c_str()) != PQPING_OK) {
    int status = 0;
    if (process_->HasEnded(status)) throw std::runtime_error("PgBouncer did not start: " + log());
    if (Steady::now() >= deadline) throw std::runtime_error("PgBouncer did not become ready: " + log());
    std::this_thread::sleep_for(kPause);
  }
}

std::string PgBouncer::Url(const std::string& database) const {
  return "postgresql://postgres@127.0.0.1:" + std::to_string(port_) + "/" + database;
}

}  // namespace postcall::test
