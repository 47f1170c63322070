#include "dispatcher/cli/nearest_name.h"

#include <gtest/gtest.h>

#include <vector>

#include "dispatcher/cli/settings.h"

namespace postcall::cli {
namespace {

std::string Nearest(std::string_view typed) {
  std::vector<std::string> known;
  for (const Setting& setting : Settings()) known.emplace_back(setting.name);
  return NearestName(typed, known).value_or("none");
}

TEST(NearestName, IsFoundForTheMistakesThatPeopleMake) {
  EXPECT_EQ(Nearest("egress-denny"), "egress-deny") << "one letter too many";
  EXPECT_EQ(Nearest("egrss-alow"), "egress-allow") << "letters missing";
  EXPECT_EQ(Nearest("log-lvel"), "log-level");
  EXPECT_EQ(Nearest("intsance"), "instance") << "letters swapped";
  EXPECT_EQ(Nearest("deny-egress"), "egress-deny") << "words swapped";
  EXPECT_EQ(Nearest("MAX_IN_FLIGHT"), "max-in-flight") << "written as a variable";
  EXPECT_EQ(Nearest("maxInFlight"), "max-in-flight");
  EXPECT_EQ(Nearest("max-in-flight-agent"), "max-in-flight-per-agent") << "a word missing";
  EXPECT_EQ(Nearest("listen"), "admin-listen") << "a part of it";
  EXPECT_EQ(Nearest("db-url"), "database-url") << "shortened";
  EXPECT_EQ(Nearest("ca-files"), "ca-file");
  EXPECT_EQ(Nearest("timeout"), "timeout-ms");
}

TEST(NearestName, IsNoneWhenNoNameIsNear) {
  for (const char* typed : {"frob", "x", "", "colour-of-the-admin-page", "retry"}) {
    EXPECT_EQ(Nearest(typed), "none") << typed;
  }
}

}  // namespace
}  // namespace postcall::cli
