#include <gmock/gmock.h>

#include "tests/unit/cli/parse.h"
#include "tests/unit/cli/scratch_file.h"

namespace postcall::cli {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Ranges(const std::vector<egress::Cidr>& ranges) {
  std::vector<std::string> texts;
  for (const egress::Cidr& range : ranges) texts.push_back(range.ToString());
  return texts;
}

TEST(Precedence, FlagBeatsVariableBeatsFileBeatsDefault) {
  const ScratchFile file("max-in-flight = 3\n");
  EXPECT_EQ(Good({"run"}).max_in_flight, 2000);
  EXPECT_EQ(Good({"run", "--config", file.path()}).max_in_flight, 3);
  EXPECT_EQ(Good({"run", "--config", file.path()}, {{"POSTCALL_MAX_IN_FLIGHT", "4"}}).max_in_flight, 4);
  EXPECT_EQ(Good({"run", "--config", file.path(), "--max-in-flight", "5"}, {{"POSTCALL_MAX_IN_FLIGHT", "4"}})
                .max_in_flight,
            5);
  EXPECT_EQ(Good({"run", "--max-in-flight=5"}, {{"POSTCALL_MAX_IN_FLIGHT", "4"}}).max_in_flight, 5);
}

TEST(Precedence, AValueThatIsOverriddenIsNotChecked) {
  const ScratchFile file("timeout-ms = 99999\n");
  EXPECT_EQ(Good({"run", "--config", file.path()}, {{"POSTCALL_TIMEOUT_MS", "7"}}).timeout.count(), 7);
  EXPECT_EQ(Good({"run", "--timeout-ms", "8"}, {{"POSTCALL_TIMEOUT_MS", "x"}}).timeout.count(), 8);
}

TEST(Precedence, HoldsForRepeatableOptionsAsAWhole) {
  const ScratchFile file("egress-allow = [\"10.0.0.0/8\", \"192.168.0.0/16\"]\n");
  const std::vector<std::string> run = {"run", "--config", file.path()};
  EXPECT_EQ(Ranges(Good(run).egress_allow), (std::vector<std::string>{"10.0.0.0/8", "192.168.0.0/16"}));
  EXPECT_EQ(Ranges(Good(run, {{"POSTCALL_EGRESS_ALLOW", "fd00::/8, 10.1.0.0/16,,"}}).egress_allow),
            (std::vector<std::string>{"fd00::/8", "10.1.0.0/16"}));
  EXPECT_EQ(Ranges(Good({"run", "--egress-allow", "127.0.0.0/8", "--egress-allow", "::1/128"},
                        {{"POSTCALL_EGRESS_ALLOW", "10.1.0.0/16"}})
                       .egress_allow),
            (std::vector<std::string>{"127.0.0.0/8", "::1/128"}));
  EXPECT_TRUE(Good(run).egress_deny.empty());
}

TEST(Precedence, HoldsForSwitches) {
  const ScratchFile file("migrate = true\n");
  EXPECT_FALSE(Good({"run"}).migrate);
  EXPECT_TRUE(Good({"run", "--migrate"}).migrate);
  EXPECT_TRUE(Good({"run"}, {{"POSTCALL_MIGRATE", "true"}}).migrate);
  EXPECT_TRUE(Good({"run", "--config", file.path()}).migrate);
  EXPECT_FALSE(Good({"run", "--config", file.path()}, {{"POSTCALL_MIGRATE", "0"}}).migrate);
  EXPECT_FALSE(Good({"run", "--migrate=false"}, {{"POSTCALL_MIGRATE", "1"}}).migrate);
}

TEST(Precedence, ASettingOfTheCommandLineAloneHasNoVariable) {
  EXPECT_TRUE(Good({"migrate", "--status"}).status);
  EXPECT_EQ(Bad({"migrate"}, {{"POSTCALL_STATUS", "true"}}),
            "unknown variable POSTCALL_STATUS; --status works only on the command line");
}

TEST(Precedence, EmptyVariableCountsAsNotSet) {
  EXPECT_EQ(Good({"run"}, {{"POSTCALL_MAX_IN_FLIGHT", ""}, {"POSTCALL_CONFIG", ""}}).max_in_flight, 2000);
}

TEST(Precedence, TheLastOfSeveralFlagsCounts) {
  EXPECT_EQ(Good({"run", "--timeout-ms", "1", "--timeout-ms", "2"}).timeout.count(), 2);
}

TEST(Precedence, FileMayBeNamedByVariableAndTheFlagBeatsIt) {
  const ScratchFile one("max-in-flight = 1\n");
  const ScratchFile two("max-in-flight = 2\n");
  EXPECT_EQ(Good({"run"}, {{"POSTCALL_CONFIG", one.path()}}).max_in_flight, 1);
  EXPECT_EQ(Good({"run", "--config", two.path()}, {{"POSTCALL_CONFIG", one.path()}}).max_in_flight, 2);
}

TEST(Precedence, EveryCommandReadsTheSameFile) {
  const ScratchFile file("max-in-flight = 1\ndatabase-url = \"dbname=calls\"\n");
  EXPECT_EQ(Good({"migrate", "--config", file.path()}).database_url, "dbname=calls");
}

TEST(ConfigOption, UnknownKeyIsAnErrorThatNamesKeyFileAndTheNearestKey) {
  const ScratchFile near("\nmax_in_flight = 1\n");
  EXPECT_EQ(Bad({"run", "--config", near.path()}),
            "unknown key max_in_flight in " + near.path() + ", line 2; did you mean max-in-flight?");
  const ScratchFile far("frob = 1\n");
  EXPECT_EQ(
      Bad({"run", "--config", far.path()}),
      "unknown key frob in " + far.path() +
          ", line 1; keys are the options of postcall-dispatcher run --help without the dashes in front");
}

TEST(ConfigOption, ASettingOfTheCommandLineAloneIsNotAKey) {
  for (const char* key : {"status", "config", "help", "version"}) {
    const ScratchFile file(std::string(key) + " = true\n");
    EXPECT_THAT(Bad({"migrate", "--config", file.path()}), HasSubstr("unknown key " + std::string(key)));
  }
}

TEST(ConfigOption, SyntaxErrorNamesFileAndLine) {
  const ScratchFile file("max-in-flight = 1\nmax-in-flight = 2\n");
  EXPECT_EQ(Bad({"run", "--config", file.path()}),
            "--config " + file.path() +
                ", line 2, column 17: this is not TOML in UTF-8; write each key once as KEY = "
                "VALUE, with strings in quotes");
}

TEST(ConfigOption, FileThatCannotBeReadIsAnErrorWithTheReason) {
  EXPECT_EQ(Bad({"run", "--config", "/nonexistent.toml"}),
            "--config /nonexistent.toml cannot be read: No such file or directory; give a TOML file");
  EXPECT_EQ(Bad({"run", "--config", "/tmp"}),
            "--config /tmp cannot be read: Is a directory; give a TOML file");
  EXPECT_THAT(Bad({"run"}, {{"POSTCALL_CONFIG", "/nonexistent.toml"}}), HasSubstr("/nonexistent.toml"));
}

TEST(ConfigOption, ArrayForOneValueIsAnError) {
  const ScratchFile file("max-in-flight = [1, 2]\n");
  EXPECT_EQ(Bad({"run", "--config", file.path()}),
            "--max-in-flight takes one value; in " + file.path() + ", line 1 it is an array");
}

TEST(ConfigOption, KeyWithAControlCharacterStillMakesOneLine) {
  const ScratchFile file(R"("a\nb" = 1)");
  EXPECT_THAT(Bad({"run", "--config", file.path()}), HasSubstr("unknown key a?b"));
}

}  // namespace
}  // namespace postcall::cli
