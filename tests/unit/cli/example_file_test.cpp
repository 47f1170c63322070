// Compares deploy/postcall-dispatcher.toml, which is installed as an example, with the program.
#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <set>

#include "dispatcher/cli/config_file.h"
#include "dispatcher/cli/settings.h"
#include "tests/unit/cli/parse.h"
#include "tests/unit/cli/scratch_file.h"

namespace postcall::cli {
namespace {

constexpr const char* kExample = POSTCALL_SOURCE_DIR "/deploy/postcall-dispatcher.toml";

// The default of these settings depends on the machine, or there is none.
const std::set<std::string> kWithoutFixedDefault = {"database-url", "ca-file", "admin-token-file",
                                                    "instance"};

// The settings of the example without the # in front; `take` selects them.
template <class Take>
std::string Uncommented(Take take) {
  static const std::regex kSetting("# ([a-z-]+) = .*");
  std::ifstream example(kExample);
  std::string toml;
  std::smatch match;
  for (std::string line; std::getline(example, line);) {
    if (std::regex_match(line, match, kSetting) && take(match[1])) toml += line.substr(2) + "\n";
  }
  return toml;
}

TEST(ExampleFile, ChangesNothingAsItIs) { EXPECT_EQ(Good({"run", "--config", kExample}), Good({"run"})); }

TEST(ExampleFile, NamesEverySettingOnce) {
  const auto entries = ParseConfig(Uncommented([](const auto&) { return true; }));
  ASSERT_TRUE(entries) << entries.error();
  std::vector<std::string> named;
  for (const ConfigEntry& entry : *entries) named.push_back(entry.key);
  std::vector<std::string> known;
  for (const Setting& setting : Settings()) {
    if (!setting.only_flag) known.emplace_back(setting.name);
  }
  EXPECT_THAT(named, ::testing::UnorderedElementsAreArray(known));
}

TEST(ExampleFile, GivesTheDefaults) {
  const ScratchFile file(
      Uncommented([](const std::string& key) { return !kWithoutFixedDefault.contains(key); }));
  EXPECT_EQ(Good({"run", "--config", file.path()}), Good({"run"}));
}

}  // namespace
}  // namespace postcall::cli
