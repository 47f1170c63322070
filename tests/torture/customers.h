// The endpoints of a torture run, good and bad, and the agents that point to them. The endpoints' own threads
// answer; the rest is for the thread that makes it.
#pragma once

#include <list>
#include <set>
#include <string>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/closed_ports.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/platform.h"

namespace postcall::test {

class Customers {
 public:
  Customers();

  // Agents agent-1 … agent-`count`, most of them with a good endpoint, each bad kind with a few.
  void Register(Platform& platform, int count) const;

  // How a call of agent-`agent` may end by itself, whatever is done to dispatchers and database.
  const std::set<std::string>& OutcomesOf(int agent) const { return CustomerOf(agent).outcomes; }
  // Where everything is delivered.
  std::vector<std::string> GoodUrls() const;

  std::vector<const RequestLedger*> Ledgers() const;
  // Servers restart now and then: every connection of theirs that is open is closed.
  void CloseConnections();
  std::string CaFile() const { return authority_.ca_file().string(); }

 private:
  struct Customer {
    std::string url;
    std::set<std::string> outcomes;
  };

  const Customer& CustomerOf(int agent) const;

  CertificateAuthority authority_;
  std::list<HostileEndpoint> endpoints_;
  RefusingPort refusing_;
  FullBacklog deaf_;
  std::vector<Customer> good_;
  std::vector<Customer> bad_;
};

}  // namespace postcall::test
