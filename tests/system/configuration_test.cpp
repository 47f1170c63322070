// Mistakes of an operator before the first call is sent: the program prints one line on standard error, which
// names the mistake and what to do, and exits with 2, or with 1 when the command itself failed. The values of
// each option are tested in tests/unit/cli; an unknown option, a bad value, a missing file, a foreign admin
// address and an empty database in manners_test.cpp.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Configuration : public SystemTest {
 protected:
  ~Configuration() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string FileOf(const std::string& text) {
    const std::filesystem::path path = folder_ / ("file-" + std::to_string(++files_));
    std::ofstream(path) << text;
    return path;
  }

  // Expects that the service ends at once with exit code `code` and one line that contains each of `words`.
  void ExpectOneLine(const ServiceOptions& options, int code, const std::vector<std::string>& words) {
    Service service(options);
    EXPECT_EQ(service.Wait(20s), code) << words.front();
    EXPECT_EQ(std::ranges::count(service.log(), '\n'), 1) << service.log();
    EXPECT_EQ(service.output(), "");
    for (const std::string& word : words) EXPECT_THAT(service.log(), HasSubstr(word));
  }

  ServiceOptions On(const std::string& url, const std::string& command = "run") const {
    ServiceOptions options{.command = command, .arguments = {"--database-url", url}};
    if (command == "run")
      options.arguments.insert(options.arguments.end(), {"--admin-listen", "127.0.0.1:0"});
    return options;
  }

  static std::string CreateDatabase(const std::string& name, const std::string& encoding) {
    SharedPostgres().Execute("CREATE DATABASE " + name + " TEMPLATE template0 LOCALE 'C' ENCODING '" +
                             encoding + "'");
    return SharedPostgres().Url(name);
  }

 private:
  static std::filesystem::path MakeFolder() {
    std::string folder = (std::filesystem::temp_directory_path() / "postcall-configuration-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("temporary folder");
    return folder;
  }

  int files_ = 0;

 protected:
  const std::filesystem::path folder_ = MakeFolder();
};

TEST_F(Configuration, WrongUsageIsOneLineAndExitCodeTwo) {
  ExpectOneLine({.command = "start", .arguments = {}}, 2,
                {"unknown command start", "migrate or run", "--help"});
  ExpectOneLine({.command = "--frob", .arguments = {}}, 2, {"unknown option --frob", "--help"});
  ExpectOneLine(Run({"argument"}), 2, {"run takes only options", "run --help"});
  ExpectOneLine(Run({"--timeout-ms"}), 2, {"--timeout-ms needs a value"});
  ExpectOneLine(On(database_url_, "resend"), 2, {"unknown command resend"});
  ExpectOneLine(Run({"--own-tables"}), 2, {"--own-tables", "--migrate"});
  ServiceOptions variable = Run();
  variable.environment = {{"POSTCALL_MAX_IN_FLIGHT", "many"}};
  ExpectOneLine(variable, 2, {"--max-in-flight must be", "POSTCALL_MAX_IN_FLIGHT"});
}

TEST_F(Configuration, AMisspeltNameIsRefusedWithTheNearestOneAndWithoutItsValue) {
  for (const std::string command : {"run", "migrate"}) {
    ServiceOptions variable = On(database_url_, command);
    variable.environment = {{"POSTCALL_EGRESS_DENNY", "10.0.0.0/8"}, {"POSTCALL_INSTANCE", "a"}};
    ExpectOneLine(variable, 2,
                  {"unknown variable POSTCALL_EGRESS_DENNY", "did you mean POSTCALL_EGRESS_DENY?"});
    ServiceOptions secret = On(database_url_, command);
    secret.environment = {{"POSTCALL_DATABASE_URI", "postgresql://u:hunter2@h/d"}};
    ExpectOneLine(secret, 2, {"did you mean POSTCALL_DATABASE_URL?"});
    Service again(secret);
    EXPECT_EQ(again.Wait(20s), 2);
    EXPECT_THAT(again.log(), ::testing::Not(HasSubstr("hunter2")));
  }
  ExpectOneLine(Run({"--egress-denny=10.0.0.0/8"}), 2, {"--egress-denny", "did you mean --egress-deny?"});
  ExpectOneLine(Run({"--config", FileOf("egress-denny = [\"10.0.0.0/8\"]\n")}), 2,
                {"unknown key egress-denny", "did you mean egress-deny?"});
}

TEST_F(Configuration, TheVariablesOfKubernetesServicesAreIgnored) {
  ServiceOptions options = Run();
  for (const std::string service : {"POSTCALL", "POSTCALL_DISPATCHER"}) {
    options.environment.insert({{service + "_SERVICE_HOST", "10.0.0.1"},
                                {service + "_SERVICE_PORT", "9464"},
                                {service + "_SERVICE_PORT_METRICS", "9464"},
                                {service + "_PORT", "tcp://10.0.0.1:9464"},
                                {service + "_PORT_9464_TCP", "tcp://10.0.0.1:9464"},
                                {service + "_PORT_9464_TCP_ADDR", "10.0.0.1"},
                                {service + "_PORT_9464_TCP_PORT", "9464"},
                                {service + "_PORT_9464_TCP_PROTO", "tcp"}});
  }
  const Service service(options);
  EXPECT_TRUE(service.WaitUntilReady()) << service.log();
}

// With this exit code a script can wait for the migration, or stop before it starts the new binary.
TEST_F(Configuration, MigrateStatusFailsWhileAMigrationIsPending) {
  const auto status = [this](const std::string& url) {
    ServiceOptions options = On(url, "migrate");
    options.arguments.emplace_back("--status");
    Service service(options);
    const std::optional<int> code = service.Wait(20s);
    EXPECT_EQ(service.log(), "");
    return std::pair(code, service.output());
  };
  EXPECT_EQ(status(database_url_).first, 0);
  platform_.Query("DELETE FROM webhook_migrations WHERE version = 5");
  const auto [code, output] = status(database_url_);
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, HasSubstr("0005_decisions: pending"));
  const auto [never, printed] = status(SharedPostgres().CreateDatabase());
  EXPECT_EQ(never, 1);
  EXPECT_THAT(printed, HasSubstr("never been migrated"));
}

TEST_F(Configuration, AWrongConfigFileIsNamedWithItsLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"frob = 1\n", "unknown key frob"},
      {"\nmax-in-flight = 0\n", "--max-in-flight must be a whole number from 1 to 100000"},
      {"timeout-ms = \"soon\"\n", "--timeout-ms must be"},
      {"instance = [\"a\", \"b\"]\n", "--instance takes one value"},
      {"instance = \"a\"\ninstance = \"b\"\n", "write each key once"},
      {"instance = unquoted\n", "strings in quotes"},
      {"instance = \"open\n", "strings in quotes"},
      {"[run]\ninstance = \"a\"\n", "tables are not used here"},
      {"instance = 1979-05-27\n", "the value of instance must be"},
      {"instance\n", "KEY = VALUE"},
      {"instance = \"caf\xE9\"\n", "not TOML in UTF-8"},
      {std::string("\x7F"
                   "ELF\0\1\2",
                   7),
       "not TOML in UTF-8"},
  };
  for (const auto& [text, named] : cases) {
    const std::string file = FileOf(text);
    ExpectOneLine(Run({"--config", file}), 2, {named, file, ", line "});
  }
  ExpectOneLine(Run({"--config", folder_.string()}), 2,
                {folder_.string(), "Is a directory", "give a TOML file"});
  ServiceOptions variable = Run();
  variable.environment = {{"POSTCALL_CONFIG", "/nonexistent.toml"}};
  ExpectOneLine(variable, 2, {"/nonexistent.toml", "No such file"});
}

TEST_F(Configuration, AFileThatCannotBeUsedIsNamedWithItsOption) {
  ExpectOneLine(Run({"--ca-file", folder_.string()}), 2,
                {"--ca-file must be a file of PEM", "Is a directory", folder_.string()});
  const std::string empty = FileOf("");
  ExpectOneLine(Run({"--ca-file", empty}), 2, {"--ca-file must be", "has none", empty});
  const std::string broken = FileOf("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  ExpectOneLine(Run({"--ca-file", broken}), 2, {"--ca-file must name a readable bundle", broken});
  ExpectOneLine(Run({"--admin-token-file", "/nonexistent"}), 2,
                {"--admin-token-file must be a file", "/nonexistent"});
  ExpectOneLine(Run({"--admin-token-file", empty}), 2, {"--admin-token-file must be", "empty", empty});
}

TEST_F(Configuration, AnAdminAddressThatIsInUseIsNamed) {
  boost::asio::io_context loop;
  const boost::asio::ip::tcp::acceptor taken(loop, {boost::asio::ip::make_address("127.0.0.1"), 0});
  const std::string address = "127.0.0.1:" + std::to_string(taken.local_endpoint().port());
  ExpectOneLine(Run({"--admin-listen", address}), 2, {address, "in use", "--admin-listen"});
}

TEST_F(Configuration, ADatabaseThatDoesNotFitIsRefusedWithWhatToDo) {
  // A database of a newer version.
  platform_.Query("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 99)");
  ExpectOneLine(Run(), 2, {"compatibility number 99", "use a newer postcall-dispatcher"});
  ExpectOneLine(On(database_url_, "migrate"), 2,
                {"compatibility number 99", "use a newer postcall-dispatcher"});
  ExpectOneLine(Run({"--migrate"}), 2, {"compatibility number 99", "use a newer postcall-dispatcher"});
  // A database of an older version.
  platform_.Query("DELETE FROM webhook_migrations WHERE version IN (5, 99)");
  ExpectOneLine(Run(), 2, {"lacks the migration decisions", "run `postcall-dispatcher migrate`"});
  // A database without a view of the platform's own.
  platform_.Query("INSERT INTO webhook_migrations VALUES (5, 'decisions', now(), 1)");
  platform_.Query("ALTER VIEW webhook_agents RENAME TO webhook_bots");
  ExpectOneLine(Run(), 2, {"there is no view webhook_agents"});
}

TEST_F(Configuration, ARoleWithoutRightsIsRefusedWithWhatToDo) {
  platform_.Query("CREATE ROLE without_rights LOGIN");
  const std::string url =
      SharedPostgres().Url(platform_.Value("SELECT current_database()"), "without_rights");
  ExpectOneLine(On(url), 2, {"permission denied for table webhook_", "SELECT webhook_grant_roles()"});
  platform_.Query("DROP ROLE without_rights");
}

TEST_F(Configuration, ADatabaseOfAnotherEncodingIsRefusedWithWhatToDo) {
  for (const std::string encoding : {"SQL_ASCII", "LATIN1"}) {
    const std::string url = CreateDatabase(encoding == "LATIN1" ? "of_latin1" : "of_ascii", encoding);
    ExpectOneLine(On(url, "migrate"), 1, {"encoding is " + encoding, "ENCODING 'UTF8'"});
    ExpectOneLine(On(url), 2, {"none of the dispatcher's tables", "run `postcall-dispatcher migrate`"});
    EXPECT_EQ(Platform(url).Value("SELECT count(*) FROM pg_class WHERE relname LIKE 'webhook%'"), "0");
  }
}

TEST_F(Configuration, ADatabaseThatIsUnreachableFailsMigrateAndIsWaitedForByRun) {
  const std::string nowhere = SharedPostgres().Url("no_such_database");
  ExpectOneLine(On(nowhere, "migrate"), 1, {"no_such_database", "does not exist"});
  ExpectOneLine(On("postgresql://u:hunter2@127.0.0.1:1/x", "migrate"), 1, {"127.0.0.1", "refused"});
  ExpectOneLine(On("postgresql://u:hunter2@h:port/x"), 2, {"--database-url cannot be used", "port"});
  for (const std::string command : {"run", "migrate"}) {
    ExpectOneLine(On(database_url_ + "&sslmode=bogus", command), 2,
                  {"--database-url cannot be used", "sslmode", "verify-full"});
    ExpectOneLine(On("postgresql://h:65536/x", command), 2,
                  {"--database-url cannot be used", "port", "65535"});
  }
  Service service(On(nowhere));
  ASSERT_TRUE(service.WaitForLog("the database is away"));
  EXPECT_EQ(service.Get("/readyz").status, 503);
  EXPECT_THAT(service.Get("/readyz").body, HasSubstr("\"no_such_database\" does not exist"));
  SharedPostgres().Execute("CREATE DATABASE no_such_database");
  Service migrate(On(nowhere, "migrate"));
  ASSERT_EQ(migrate.Wait(20s), 0) << migrate.log();
  EXPECT_TRUE(service.WaitUntilReady());
}

}  // namespace
}  // namespace postcall::test
