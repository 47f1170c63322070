// Forbidden addresses are not reached by any spelling, name or redirect. The tests read the kernel's count of
// connections that were begun, in a network where each of them is possible, and have an endpoint that would
// answer at every address.
#include <map>

#include "tests/support/forbidden_addresses.h"
#include "tests/system/private_network_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::address;

constexpr char kPublic[] = "93.184.216.34";
constexpr char kProxy[] = "93.184.216.35";

class Egress : public PrivateNetworkTest {
 protected:
  // Runs with the defaults: no private address is allowed, because no option allows one.
  ServiceOptions RunAsShipped(const std::vector<std::string>& more = {}) const {
    ServiceOptions options;
    options.arguments = {"--database-url", database_url_, "--admin-listen", "127.0.0.1:0"};
    options.arguments.insert(options.arguments.end(), more.begin(), more.end());
    options.resolv_conf = names_->resolv_conf();
    return options;
  }

  // Adds an agent for each URL, named by kind and number, and completes one call of each agent.
  void Call(const std::string& kind, const std::vector<std::string>& urls) {
    for (const std::string& url : urls) {
      const std::string agent = kind + std::to_string(++agents_);
      url_of_[agent] = url;
      platform_.AddAgent(agent, url);
      platform_.CompleteCalls(agent, agent + "-", 1);
    }
  }

  // Returns "URL: outcome (error)" for each delivery of that kind whose outcome is none of `expected`.
  std::vector<std::string> OthersThan(const std::string& expected, const std::string& kind) {
    std::vector<std::string> others;
    for (const auto& row :
         platform_.Query("SELECT agent_id, outcome, coalesce(error, '') FROM webhook_deliveries"
                         " WHERE starts_with(agent_id, '" +
                         kind + "') AND outcome <> ALL ('{" + expected + "}')")) {
      others.push_back(url_of_[row[0].as<std::string>()] + ": " + row[1].as<std::string>() + " (" +
                       row[2].as<std::string>() + ")");
    }
    return others;
  }

  // Makes a name for each address, for which the name server answers that address. Returns the names as URLs.
  std::vector<std::string> Names(const std::vector<address>& addresses) {
    std::vector<std::string> urls;
    for (const address& address : addresses) {
      const std::string host = "name-" + std::to_string(urls.size()) + ".example";
      names_->server().Script(host, NameAnswer::Addresses({address.to_string()}));
      urls.push_back(everywhere_.Url("/", host));
    }
    return urls;
  }

  // Returns URLs of an allowed endpoint, which answers with a redirect to each of the given URLs.
  std::vector<std::string> RedirectsTo(const std::vector<std::string>& urls) {
    redirecting_.Otherwise([urls](const RequestEntry& request) {
      return RedirectTo(urls.at(std::stoul(request.path.substr(1))), 307);
    });
    std::vector<std::string> redirects;
    for (std::size_t i = 0; i < urls.size(); ++i) {
      redirects.push_back(redirecting_.Url("/" + std::to_string(i)));
    }
    return redirects;
  }

  std::vector<std::string> Urls(const std::vector<address>& addresses) const {
    std::vector<std::string> urls;
    for (const address& address : addresses) urls.push_back(UrlOf(address, everywhere_.port()));
    return urls;
  }

  // Listens at every address, and must receive no connection.
  HostileEndpoint everywhere_{{.address = "::"}};
  HostileEndpoint redirecting_{{.address = kPublic}};
  std::map<std::string, std::string> url_of_;

 private:
  int agents_ = 0;
};

TEST_F(Egress, BeginsNoConnectionToAForbiddenAddressByUrlNameOrRedirect) {
  const std::vector<address> forbidden = ForbiddenAddresses();
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  const Service service(RunAsShipped());
  Call("literal", Urls(forbidden));
  Call("named", Names(forbidden));
  Call("redirected", RedirectsTo(Urls(forbidden)));
  ASSERT_TRUE(platform_.WaitUntilSettled(60s));

  EXPECT_THAT(OthersThan("blocked", "literal"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("blocked", "named"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("rejected", "redirected"), ::testing::IsEmpty());
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun() - before, redirecting_.ledger().ConnectionCount());
  EXPECT_EQ(everywhere_.ledger().ConnectionCount(), 0U);
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries"), std::to_string(3 * forbidden.size()));
  EXPECT_EQ(redirecting_.ledger().RequestCount(), forbidden.size());
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_, &redirecting_});
}

// This proves that the test above would count a connection: each of them is possible in this network.
TEST_F(Egress, BeginsOneConnectionToEachOfThemWhereTheOperatorAllowsIt) {
  std::vector<address> reachable = ForbiddenAddresses();
  std::erase_if(reachable, [](const address& address) { return !CanBeConnectedTo(address); });
  std::vector<std::string> allowed;
  for (const address& address : reachable) {
    const bool mapped = address.is_v6() && address.to_v6().is_v4_mapped();  // the IPv4 range includes it
    const std::string range = mapped ? address.to_string().substr(std::string("::ffff:").size()) + "/32"
                                     : address.to_string() + (address.is_v4() ? "/32" : "/128");
    allowed.insert(allowed.end(), {"--egress-allow", range});
  }
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  const Service service(RunAsShipped(allowed));
  Call("literal", Urls(reachable));
  ASSERT_TRUE(platform_.WaitUntilSettled(20s)) << service.log();
  EXPECT_THAT(OthersThan("delivered", "literal"), ::testing::IsEmpty());
  EXPECT_GT(reachable.size(), 200U);
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun() - before, reachable.size());
  EXPECT_EQ(everywhere_.ledger().ConnectionCount(), reachable.size());
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

struct Spelling {
  std::string authority;  // PORT stands for the port
  bool is_understood;     // read as 127.0.0.1; otherwise refused as no URL
};

std::vector<Spelling> SpellingsOfLoopback() {
  return {
      {"127.0.0.1:PORT", true},
      {"127.0.0.1.:PORT", true},
      {"127.1:PORT", true},
      {"127.0.1:PORT", true},
      {"2130706433:PORT", true},
      {"0x7f000001:PORT", true},
      {"0X7F000001:PORT", true},
      {"0x7f.1:PORT", true},
      {"0x7f.0x0.0x0.0x1:PORT", true},
      {"017700000001:PORT", true},
      {"0177.0.0.1:PORT", true},
      {"00000177.0.0.01:PORT", true},
      {"0177.0x0.1:PORT", true},
      {"user:word@127.0.0.1:PORT", true},
      {"93.184.216.34%40@127.0.0.1:PORT", true},
      {"[::ffff:127.0.0.1]:PORT", true},
      {"[0:0:0:0:0:FFFF:7F00:0001]:PORT", true},
      {"localhost:PORT", true},
      {"LocalHost:PORT", true},
      {"93.184.216.34:80@127.0.0.1:PORT", true},
      {"%31%32%37.0.0.1:PORT", false},
      {"127%2e0%2e0%2e1:PORT", false},
      {"①②⑦.⓪.⓪.①:PORT", false},
      {"１２７.０.０.１:PORT", false},
      {"127。0。0。1:PORT", false},
      {"127．0．0．1:PORT", false},
      {"127｡0｡0｡1:PORT", false},
      {"ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT", false},
      {"example.com\\@127.0.0.1:PORT", false},
      {"93.184.216.34:80\\@127.0.0.1:PORT", false},
      {"127.0.0.1:PORT\\@93.184.216.34", false},
      {"93.184.216.34@93.184.216.35@127.0.0.1:PORT", false},
      {"93.184.216.34 @127.0.0.1:PORT", false},
      {"127.0.0.1:PORT:80", false},
      {"127.0.0.1\t:PORT", false},
      {"127.0.0.1\r\nHost: example.com:PORT", false},
      {"[::1%lo]:PORT", false},
      {"[::1%25lo]:PORT", false},
      {"[127.0.0.1]:PORT", false},
      {"::1:PORT", false},
      {"127.0.0.1.256:PORT", false},
      {"4294967297.0.0.1:PORT", false},
      {"127.0.0.08:PORT", false},
      {"/127.0.0.1:PORT", false},
      {"\\127.0.0.1:PORT", false},
  };
}

std::vector<std::string> UrlsOf(const std::vector<Spelling>& spellings, std::uint16_t port) {
  std::vector<std::string> urls;
  for (const Spelling& spelling : spellings) {
    std::string url = "http://" + spelling.authority + "/";
    url.replace(url.find("PORT"), 4, std::to_string(port));
    urls.push_back(url);
  }
  return urls;
}

TEST_F(Egress, KnowsALoopbackAddressInEverySpelling) {
  std::vector<Spelling> understood = SpellingsOfLoopback();
  std::vector<Spelling> refused = understood;
  std::erase_if(understood, [](const Spelling& spelling) { return !spelling.is_understood; });
  std::erase_if(refused, [](const Spelling& spelling) { return spelling.is_understood; });
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  const Service service(RunAsShipped());
  Call("understood", UrlsOf(understood, everywhere_.port()));
  Call("refused", UrlsOf(refused, everywhere_.port()));
  std::vector<std::string> targets = UrlsOf(SpellingsOfLoopback(), everywhere_.port());
  targets.insert(targets.end(), {"//127.0.0.1:" + std::to_string(everywhere_.port()) + "/",
                                 "file:///etc/passwd", "gopher://127.0.0.1:70/"});
  // A line break would end the header, so that there would be no redirect.
  std::erase_if(targets, [](const std::string& url) { return url.find('\n') != std::string::npos; });
  Call("redirected", RedirectsTo(targets));
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  EXPECT_THAT(OthersThan("blocked", "understood"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("invalid_settings", "refused"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("rejected", "redirected"), ::testing::IsEmpty());
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun() - before, redirecting_.ledger().ConnectionCount());
  EXPECT_EQ(everywhere_.ledger().ConnectionCount(), 0U);
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_, &redirecting_});
}

// This proves that the spellings above are blocked because of the address, and not because of the spelling.
TEST_F(Egress, DeliversToASpellingOfLoopbackWhereTheOperatorAllowsIt) {
  std::vector<Spelling> understood = SpellingsOfLoopback();
  std::erase_if(understood, [](const Spelling& spelling) { return !spelling.is_understood; });
  const Service service(RunAsShipped({"--egress-allow", "127.0.0.0/8", "--egress-allow", "::1/128"}));
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  Call("understood", UrlsOf(understood, everywhere_.port()));
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  EXPECT_THAT(OthersThan("delivered", "understood"), ::testing::IsEmpty());
  EXPECT_EQ(everywhere_.ledger().RequestCount(), understood.size());
  EXPECT_GT(PrivateNetwork::ConnectionsBegun(), before);
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

// In a network with DNS64 every name has such an address, and most names have no other.
TEST_F(Egress, ReachesOnlyPublicAddressesThroughNat64) {
  const Service service(RunAsShipped({"--egress-allow", "10.20.0.0/16", "--egress-deny", "93.184.216.35"}));
  names_->server().Script("public.example", NameAnswer::Addresses({"64:ff9b::5db8:d822"}));
  names_->server().Script("private.example", NameAnswer::Addresses({"64:ff9b::a00:1"}));
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  const auto url_of = [this](const char* address) {
    return UrlOf(boost::asio::ip::make_address(address), everywhere_.port());
  };
  Call("public", {everywhere_.Url("/", "public.example")});
  Call("allowed", {url_of("64:ff9b::a14:1")});
  Call("private",
       {everywhere_.Url("/", "private.example"), url_of("64:ff9b::a00:1"), url_of("64:ff9b::a9fe:a9fe"),
        url_of("64:ff9b:1::5db8:d822"), url_of("64:ff9b::5db8:d823")});
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  EXPECT_THAT(OthersThan("delivered", "public"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("delivered", "allowed"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("blocked", "private"), ::testing::IsEmpty());
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun(), before + 2);
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

TEST_F(Egress, IgnoresProxyVariables) {
  const HostileEndpoint proxy({.address = kProxy});
  ServiceOptions options = RunAsShipped();
  for (const std::string name :
       {"http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}) {
    options.environment[name] = proxy.Url("/");
  }
  options.environment["no_proxy"] = options.environment["NO_PROXY"] = "nowhere.example";
  const Service service(std::move(options));
  names_->server().Script("public.example", NameAnswer::Addresses({kPublic}));
  names_->server().Script("private.example", NameAnswer::Addresses({"10.0.0.1"}));
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  Call("delivered", {redirecting_.Url("/"), redirecting_.Url("/", "public.example")});
  Call("blocked", {everywhere_.Url("/", "10.0.0.1"), everywhere_.Url("/", "private.example")});
  // The endpoint has no TLS. The tls_error shows that the handshake began with the endpoint and not with a
  // proxy.
  Call("secured", {"https" + redirecting_.Url("/", "public.example").substr(4)});
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  EXPECT_THAT(OthersThan("delivered", "delivered"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("blocked", "blocked"), ::testing::IsEmpty());
  EXPECT_THAT(OthersThan("tls_error", "secured"), ::testing::IsEmpty());
  EXPECT_EQ(proxy.ledger().ConnectionCount(), 0U);
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun() - before, redirecting_.ledger().ConnectionCount());
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_, &redirecting_, &proxy});
}

}  // namespace
}  // namespace postcall::test
