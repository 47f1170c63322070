// The endpoints of a torture run, good and bad, and the agents that use them. The endpoints' own threads
// answer; the thread that made it calls everything else.
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

  // Adds agent-1 … agent-`count`. Most have a good endpoint, and a few have each bad kind.
  void Register(Platform& platform, int count) const;

  // How a call of agent-`agent` may end without disturbances.
  const std::set<std::string>& OutcomesOf(int agent) const { return CustomerOf(agent).outcomes; }
  // The URL of an endpoint to which everything is delivered.
  std::vector<std::string> GoodUrls() const;

  std::vector<const RequestLedger*> Ledgers() const;
  // Servers restart sometimes: closes every open connection of theirs.
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
