#include "dispatcher/cli/options.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "dispatcher/cli/settings.h"
#include "tests/unit/cli/parse.h"

namespace postcall::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Command CommandOf(const std::vector<std::string>& arguments) {
  const auto parsed = Parse(arguments);
  if (const Leave* leave = std::get_if<Leave>(&parsed)) throw std::runtime_error(leave->text);
  return std::get<Invocation>(parsed).command;
}

Leave Left(const std::vector<std::string>& arguments) { return std::get<Leave>(Parse(arguments)); }

TEST(CommandLine, NamesTheCommand) {
  EXPECT_EQ(CommandOf({"run"}), Command::kRun);
  EXPECT_EQ(CommandOf({"migrate"}), Command::kMigrate);
  EXPECT_EQ(CommandOf({"migrate", "--status"}), Command::kMigrate);
}

TEST(CommandLine, HelpIsGivenForTheProgramAndForEachCommand) {
  for (const char* help : {"--help", "-h"}) {
    EXPECT_EQ(Left({help}).code, ExitCode::kDone);
    EXPECT_THAT(Left({help}).text, HasSubstr("migrate"));
    EXPECT_EQ(Left({"run", help}).code, ExitCode::kDone);
    EXPECT_EQ(Left({"migrate", help}).code, ExitCode::kDone);
  }
  const std::string run = Left({"run", "--help"}).text;
  const std::string migrate = Left({"migrate", "--help"}).text;
  EXPECT_THAT(run, HasSubstr("postcall-dispatcher run"));
  EXPECT_THAT(migrate, HasSubstr("--status"));
  EXPECT_THAT(migrate, Not(HasSubstr("--max-in-flight")));
  for (const Setting& setting : Settings()) {
    const bool of_run = std::ranges::find(setting.commands, Command::kRun) != setting.commands.end();
    if (of_run) {
      EXPECT_THAT(run, HasSubstr("--" + std::string(setting.name)));
    }
  }
}

TEST(CommandLine, HelpIsGivenEvenWhenTheConfigurationIsBad) {
  const auto parsed = Parse({"run", "--help"}, {{"POSTCALL_TIMEOUT_MS", "bad"}});
  EXPECT_EQ(std::get<Leave>(parsed).code, ExitCode::kDone);
}

TEST(CommandLine, VersionIsGiven) {
  EXPECT_EQ(Left({"--version"}).code, ExitCode::kDone);
  EXPECT_EQ(Left({"--version"}).text, "postcall-dispatcher " POSTCALL_VERSION "\n");
}

TEST(CommandLine, UnknownCommandsAndOptionsAreBadUsage) {
  EXPECT_EQ(Bad({}), "no command is given; give migrate or run, see postcall-dispatcher --help");
  EXPECT_EQ(Bad({"start"}), "unknown command start; give migrate or run, see postcall-dispatcher --help");
  EXPECT_EQ(Bad({"--frob"}), "unknown option --frob; see postcall-dispatcher --help");
  EXPECT_EQ(Bad({"run", "--frob"}), "unknown option --frob; see postcall-dispatcher run --help");
  EXPECT_EQ(Bad({"run", "--frob=x"}), "unknown option --frob; see postcall-dispatcher run --help");
  EXPECT_EQ(Bad({"run", "-x"}), "unknown option -x; see postcall-dispatcher run --help");
  EXPECT_EQ(Bad({"run", "-dpostgresql://u:secret@h/d"}),
            "unknown option -d; see postcall-dispatcher run --help");
  EXPECT_THAT(Bad({"run", "migrate"}), HasSubstr("run takes only options"));
  EXPECT_THAT(Bad({"run", "x"}), HasSubstr("run takes only options"));
  EXPECT_THAT(Bad({"run", "--", "x"}), HasSubstr("run takes only options"));
  EXPECT_THAT(Bad({""}), HasSubstr("unknown command"));
}

TEST(CommandLine, AnUnknownOptionIsReportedWithTheNearestOneOfItsCommand) {
  EXPECT_EQ(Bad({"run", "--egress-denny", "10.0.0.0/8"}),
            "unknown option --egress-denny; did you mean --egress-deny?");
  EXPECT_EQ(Bad({"run", "--database_url=postgresql://u:secret@h/d"}),
            "unknown option --database_url; did you mean --database-url?");
  EXPECT_EQ(Bad({"run", "--max-in"}), "unknown option --max-in; did you mean --max-in-flight?");
  EXPECT_EQ(Bad({"migrate", "--staus"}), "unknown option --staus; did you mean --status?");
  EXPECT_EQ(Bad({"run", "--staus"}), "unknown option --staus; see postcall-dispatcher run --help");
  EXPECT_EQ(Bad({"--hlep"}), "unknown option --hlep; did you mean --help?");
}

TEST(CommandLine, AnOptionOfAnotherCommandIsReportedWithThatCommand) {
  EXPECT_EQ(Bad({"migrate", "--max-in-flight", "3"}),
            "unknown option --max-in-flight; it belongs to run, see postcall-dispatcher migrate --help");
  EXPECT_EQ(Bad({"run", "--status"}),
            "unknown option --status; it belongs to migrate, see postcall-dispatcher run --help");
  EXPECT_EQ(Bad({"--max-in-flight=3", "run"}),
            "unknown option --max-in-flight; give it after run, see postcall-dispatcher run --help");
  EXPECT_EQ(Bad({"--max-in-flight=3"}),
            "unknown option --max-in-flight; give it after run, see postcall-dispatcher --help");
}

TEST(CommandLine, CommandsThatDoNotExistAreNotOffered) {
  for (const char* name : {"explain", "send-test", "resend", "deliveries", "help"}) {
    EXPECT_THAT(Bad({name}), HasSubstr("unknown command " + std::string(name)));
  }
}

TEST(CommandLine, OptionWithoutItsValueIsBadUsage) {
  EXPECT_EQ(Bad({"run", "--max-in-flight"}), "--max-in-flight needs a value; give one after it");
  EXPECT_EQ(Bad({"run", "--max-in-flight=", "5"}),
            "--max-in-flight= has no value; give one, or leave the option out");
  EXPECT_EQ(Bad({"run", "--instance", ""}), "--instance is empty; give a value, or leave it out");
  // The next option is not used as the value.
  EXPECT_THAT(Bad({"run", "--max-in-flight", "--migrate"}), HasSubstr("--max-in-flight"));
}

TEST(CommandLine, OwnTablesOfRunNeedsMigrate) {
  EXPECT_EQ(Bad({"run", "--own-tables"}),
            "--own-tables of run does nothing without --migrate; give both, or neither");
  EXPECT_TRUE(Good({"run", "--own-tables", "--migrate"}).own_tables);
  EXPECT_TRUE(Good({"migrate", "--own-tables"}).own_tables);
  EXPECT_TRUE(Good({"run"}, {{"POSTCALL_OWN_TABLES", "true"}}).own_tables) << "it is for migrate, too";
}

TEST(CommandLine, NegativeNumbersAreValuesAndNotOptions) {
  EXPECT_EQ(Bad({"run", "--slow-share", "-1"}), "--slow-share must be a number from 0 to 1; it is \"-1\"");
}

TEST(CommandLine, RepeatableOptionTakesOneValueEachTime) {
  EXPECT_EQ(Good({"run", "--egress-deny", "10.0.0.0/8", "--egress-deny", "11.0.0.0/8"}).egress_deny.size(),
            2u);
  EXPECT_THAT(Bad({"run", "--egress-deny", "10.0.0.0/8", "11.0.0.0/8"}), HasSubstr("run takes only options"));
  EXPECT_THAT(Bad({"run", "--egress-deny", "10.0.0.0/8,11.0.0.0/8"}), HasSubstr("one per value"));
  EXPECT_EQ(Good({"run", "--source-address", "127.0.0.1", "--source-address", "::1"}).source_addresses.size(),
            2u);
  EXPECT_EQ(Bad({"run", "--source-address", "127.0.0.1", "--source-address", "127.0.0.2"}),
            "--source-address may be given once for IPv4 and once for IPv6");
}

TEST(CommandLine, ControlCharactersStillMakeOneLine) {
  EXPECT_EQ(Bad({"run", "--timeout-ms", "1\n2"}),
            "--timeout-ms must be a whole number from 1 to 10000; it is \"1?2\"");
  EXPECT_EQ(Bad({"run", "--fr\nob"}), "unknown option --fr?ob; see postcall-dispatcher run --help");
}

}  // namespace
}  // namespace postcall::cli
