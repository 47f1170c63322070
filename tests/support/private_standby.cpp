#include "tests/support/private_standby.h"

#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "common/clock.h"

namespace postcall::test {
namespace {

constexpr auto kStartLimit = std::chrono::seconds(60);
constexpr auto kPause = std::chrono::milliseconds(5);  // a process that starts has no event to wait for
constexpr const char* kName = "standby";

}  // namespace

PrivateStandby::PrivateStandby(PrivatePostgres& primary) : primary_(primary) {
  std::string name = (std::filesystem::temp_directory_path() / "postcall-standby-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  GiveToServerUser(folder_);
  primary_.Stop(PrivatePostgres::StopMode::kFast);
  ServerProcess copy({"/bin/cp", "-a", primary_.folder() + "/data", (folder_ / "data").string()}, folder_,
                     "copy.log");
  const int copied = copy.Wait();
  primary_.Start();
  if (copied != 0) throw std::runtime_error("no copy of the primary: " + ReadFile(folder_ / "copy.log"));
  std::ofstream(folder_ / "data" / "standby.signal").flush();
  Start();
  primary_.Execute(std::string("ALTER SYSTEM SET synchronous_standby_names = ") + kName);
  primary_.Execute("SELECT pg_reload_conf()");
}

PrivateStandby::~PrivateStandby() {
  server_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void PrivateStandby::Stop() { server_->End(SIGQUIT); }

void PrivateStandby::Start() {
  server_ = std::make_unique<ServerProcess>(
      std::vector<std::string>{
          primary_.Program("postgres"), "-D", (folder_ / "data").string(), "-c", "listen_addresses=", "-c",
          "unix_socket_directories=" + folder_.string(), "-c", "max_connections=200", "-c",
          "wal_retrieve_retry_interval=100ms", "-c", "fsync=off", "-c",
          "primary_conninfo=host=" + primary_.folder() + " port=" + std::to_string(primary_.port()) +
              " user=postgres application_name=" + kName},
      folder_, "postgres.log");
  const SteadyTime deadline = Steady::now() + kStartLimit;
  while (primary_.Execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "0") {
    int status = 0;
    if (server_->HasEnded(status) || Steady::now() >= deadline) {
      throw std::runtime_error("the standby does not stream: " + ReadFile(folder_ / "postgres.log"));
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace postcall::test
