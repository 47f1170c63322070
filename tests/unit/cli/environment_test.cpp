#include "dispatcher/cli/environment.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "dispatcher/cli/settings.h"
#include "tests/unit/cli/parse.h"

namespace postcall::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The variables that Kubernetes makes for a Service; `service` is the name as variables have it.
Environment OfService(const std::string& service) {
  return {
      {service + "_SERVICE_HOST", "10.96.0.17"},
      {service + "_SERVICE_PORT", "9464"},
      {service + "_SERVICE_PORT_METRICS", "9464"},
      {service + "_SERVICE_PORT_ADMIN_WEB", "9465"},
      {service + "_PORT", "tcp://10.96.0.17:9464"},
      {service + "_PORT_9464_TCP", "tcp://10.96.0.17:9464"},
      {service + "_PORT_9464_TCP_PROTO", "tcp"},
      {service + "_PORT_9464_TCP_PORT", "9464"},
      {service + "_PORT_9464_TCP_ADDR", "10.96.0.17"},
      {service + "_PORT_53_UDP", "udp://[fd00::17]:53"},
      {service + "_PORT_53_UDP_ADDR", "fd00::17"},
      {service + "_PORT_5000_SCTP", "sctp://10.96.0.17:5000"},
  };
}

TEST(Variables, AMisspeltOneIsRefusedWithTheNearestName) {
  EXPECT_EQ(Bad({"run"}, {{"POSTCALL_EGRESS_DENNY", "10.0.0.0/8"}}),
            "unknown variable POSTCALL_EGRESS_DENNY; did you mean POSTCALL_EGRESS_DENY?");
  EXPECT_EQ(Bad({"migrate"}, {{"POSTCALL_DATABASEURL", "postgresql://u:secret@h/d"}}),
            "unknown variable POSTCALL_DATABASEURL; did you mean POSTCALL_DATABASE_URL?");
  EXPECT_EQ(Bad({"run"}, {{"POSTCALL_CONFIG_FILE", "/etc/postcall.toml"}}),
            "unknown variable POSTCALL_CONFIG_FILE; did you mean POSTCALL_CONFIG?");
  EXPECT_EQ(Bad({"run"}, {{"POSTCALL_egress_deny", "10.0.0.0/8"}}),
            "unknown variable POSTCALL_egress_deny; did you mean POSTCALL_EGRESS_DENY?");
  EXPECT_EQ(Bad({"run"}, {{"POSTCALL_FROB", "x"}}),
            "unknown variable POSTCALL_FROB; remove it, or see postcall-dispatcher run --help");
  EXPECT_EQ(Bad({"run"}, {{"POSTCALL_", "x"}}),
            "unknown variable POSTCALL_; remove it, or see postcall-dispatcher run --help");
}

TEST(Variables, AMisspeltOneIsRefusedEvenWhenItIsEmpty) {
  EXPECT_THAT(Bad({"run"}, {{"POSTCALL_EGRESS_DENNY", ""}}), HasSubstr("POSTCALL_EGRESS_DENY?"));
}

TEST(Variables, OfOtherCommandsAreKnownToEach) {
  for (const char* command : {"run", "migrate"}) {
    for (const Setting& setting : Settings()) {
      if (setting.only_flag) continue;
      const std::string told = Bad({command}, {{VariableOf(setting.name), ""}});
      EXPECT_EQ(told, "it was accepted") << command << " " << setting.name;
    }
  }
  EXPECT_EQ(Bad({"migrate"}, {{"POSTCALL_MAX_IN_FLIGHT", "many"}}), "it was accepted");
}

TEST(Variables, OfAKubernetesServiceAreNotOurs) {
  for (const char* service : {"POSTCALL", "POSTCALL_DISPATCHER", "POSTCALL_EGRESS_DENY", "POSTCALL_API_2"}) {
    for (const auto& [name, value] : OfService(service)) {
      EXPECT_EQ(Bad({"run"}, {{name, value}}), "it was accepted") << name;
    }
    EXPECT_EQ(Bad({"run"}, OfService(service)), "it was accepted") << service;
  }
}

TEST(Variables, ThatOnlyLookLikeThoseOfKubernetesAreRefused) {
  const Environment others = {
      {"POSTCALL_ADMIN_PORT", "9464"},  // Kubernetes gives tcp://…
      {"POSTCALL_PORT", ""},
      {"POSTCALL_PORT_NUMBER", "9464"},
      {"POSTCALL_PORT_9464", "9464"},
      {"POSTCALL_PORT_9464_HTTP", "x"},
      {"POSTCALL_PORT_9464_TCP_NAME", "x"},
      {"POSTCALL_DISPATCHER_SERVICE", "x"},
      {"POSTCALL_DISPATCHER_SERVICE_HOSTS", "x"},
      {"POSTCALL_dispatcher_SERVICE_HOST", "x"},
  };
  for (const auto& [name, value] : others) {
    EXPECT_THAT(Bad({"run"}, {{name, value}}), HasSubstr("unknown variable " + name)) << name;
  }
}

TEST(Variables, DoNotPreventHelp) {
  const auto parsed = Parse({"run", "--help"}, {{"POSTCALL_EGRESS_DENNY", "x"}});
  EXPECT_EQ(std::get<Leave>(parsed).code, ExitCode::kDone);
}

TEST(Variables, OfTheProcessAreThoseThatBeginWithOurs) {
  ::setenv("POSTCALL_EGRESS_DENNY", "a=b", 1);
  ::setenv("XPOSTCALL_EGRESS_DENY", "x", 1);
  const Environment environment = EnvironmentOfProcess();
  ::unsetenv("POSTCALL_EGRESS_DENNY");
  ::unsetenv("XPOSTCALL_EGRESS_DENY");
  EXPECT_EQ(environment.at("POSTCALL_EGRESS_DENNY"), "a=b");
  EXPECT_FALSE(environment.contains("XPOSTCALL_EGRESS_DENY"));
}

}  // namespace
}  // namespace postcall::cli
