// Listens for the server's warnings while a transaction commits. When the server ends its wait for a
// synchronous standby before the standby has the transaction, it reports the commit with a warning. Used only
// in this room, on the thread that owns the session.
#pragma once

#include <pqxx/connection>
#include <pqxx/errorhandler>
#include <pqxx/version>
#include <string_view>

namespace postcall::postgres {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // 7.10 has another function for it, 6.4 has not

class StandbyWait : private pqxx::errorhandler {
 public:
  // Verbose messages name the function in the server's source. Its name is the same in every language; the
  // words of the message, and even the severity, are not.
  explicit StandbyWait(pqxx::connection& connection) : errorhandler(connection), connection_(connection) {
    connection_.set_verbosity(Verbosity::verbose);
  }
  ~StandbyWait() override { connection_.set_verbosity(Verbosity::normal); }

  bool was_cut_short() const { return was_cut_short_; }

 private:
#if PQXX_VERSION_MAJOR < 7
  using Verbosity = pqxx::connection::error_verbosity;
#else
  using Verbosity = pqxx::error_verbosity;
#endif

  bool operator()(const char message[]) noexcept override {
    if (std::string_view(message).find("SyncRepWaitForLSN") != std::string_view::npos) was_cut_short_ = true;
    return true;
  }

  pqxx::connection& connection_;
  bool was_cut_short_ = false;
};

#pragma GCC diagnostic pop

}  // namespace postcall::postgres
