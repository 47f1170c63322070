#include "schema/local_fault.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace postcall {
namespace {

TEST(LocalFault, HasTheWordsOfTheMetric) {
  std::vector<std::string> words;
  for (const LocalFault fault : kLocalFaults) words.emplace_back(ToString(fault));
  EXPECT_THAT(words, ::testing::ElementsAre("descriptors", "memory", "ports", "network"));
}

}  // namespace
}  // namespace postcall
