// A name server for one test, and the resolv.conf that makes a process use it (ServiceOptions). Any thread.
#pragma once

#include <string>

#include "tests/support/name_server.h"

namespace postcall::test {

class SystemNames {
 public:
  // Listens on a loopback address that no other running test uses, so that tests can run at the same time.
  SystemNames();
  ~SystemNames();
  SystemNames(const SystemNames&) = delete;
  SystemNames& operator=(const SystemNames&) = delete;

  NameServer& server() { return server_; }
  // The file's path.
  const std::string& resolv_conf() const { return resolv_conf_; }
  // Another address of this test, with port 53, for a second server.
  std::string other_address() const;
  // From now on the file names that server.
  void PointTo(const std::string& address) const;

 private:
  const std::string address_;
  const std::string resolv_conf_;
  NameServer server_;
};

}  // namespace postcall::test
