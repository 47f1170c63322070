#include "common/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/handle.h"

namespace postcall {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;

// What `act` writes to standard error. It runs in a process of its own, because level and format are set once
// per process.
template <class Act>
std::string Logged(log::Level level, log::Format format, Act act) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(writer.get(), STDERR_FILENO);
    log::Configure(level, format);
    act();
    log::Close(std::chrono::seconds(10));
    ::_exit(0);
  }
  writer.reset();
  std::string written;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = ::read(reader.get(), buffer.data(), buffer.size())) > 0;) {
    written.append(buffer.data(), static_cast<std::size_t>(n));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return written;
}

template <class Act>
std::string Text(Act act) {
  return Logged(log::Level::kDebug, log::Format::kText, act);
}

template <class Act>
nlohmann::json JsonLine(Act act) {
  const std::string line = Logged(log::Level::kDebug, log::Format::kJson, act);
  EXPECT_THAT(line, EndsWith("\n"));
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line per event: " << line;
  return nlohmann::json::parse(line, nullptr, false);
}

TEST(Log, WritesOneTextLineWithTimeLevelEventAndFields) {
  const std::string line = Text([] {
    log::Info("claimed", {{"rows", 12}, {"share", 0.25}, {"full", true}});
  });
  EXPECT_THAT(line, MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z info    claimed rows=12 "
                                 "share=0\\.25 full=true\n"));
}

TEST(Log, LeavesOutAFieldWithoutAValue) {
  const auto log = [] {
    log::Info("ended", {{"status", std::optional<int>()},
                        {"code", std::optional(503)},
                        {"error", std::optional<std::string>()}});
  };
  EXPECT_THAT(Text(log), EndsWith("info    ended code=503\n"));
  const nlohmann::json line = JsonLine(log);
  EXPECT_EQ(line["code"], 503);
  EXPECT_FALSE(line.contains("status") || line.contains("error"));
}

TEST(Log, QuotesTextThatWouldBreakTheLine) {
  const std::string line = Text([] {
    log::Error("failed",
               {{"plain", "a-b"}, {"blank", "a b"}, {"empty", ""}, {"line", "a\nb\r\x01"}, {"pair", "a=b"}});
  });
  EXPECT_THAT(line, EndsWith(R"(failed plain=a-b blank="a b" empty="" line="a\nb\r\u0001" pair="a=b")"
                             "\n"));
}

TEST(Log, SurvivesBytesThatAreNotUtf8) {
  const std::string bytes("\xff\xfe\0x", 4);
  EXPECT_THAT(Text([&] { log::Warning("odd", {{"bytes", bytes}}); }), HasSubstr("\xEF\xBF\xBD"));
  const nlohmann::json line = JsonLine([&] { log::Warning("odd", {{"bytes", bytes}}); });
  EXPECT_EQ(line["bytes"], std::string("\xEF\xBF\xBD\xEF\xBF\xBD\0x", 8));
}

TEST(Log, TakesBracesAndPercentSignsAsText) {
  EXPECT_THAT(Text([] { log::Info("{} %v {0}", {{"a", "{}"}}); }), EndsWith("{} %v {0} a={}\n"));
  EXPECT_EQ(JsonLine([] { log::Info("e", {{"a", "{} %v"}}); })["a"], "{} %v");
}

TEST(Log, WritesOneJsonObjectPerLine) {
  const nlohmann::json line = JsonLine([] {
    log::Warning("outcome \"x\"\n",
                 {{"count", std::uint64_t{7}}, {"ratio", 0.5}, {"ok", false}, {"text", "a\tb"}});
  });
  ASSERT_TRUE(line.is_object());
  EXPECT_THAT(line["time"].get<std::string>(), MatchesRegex("[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z"));
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["event"], "outcome \"x\"\n");
  EXPECT_EQ(line["count"], 7);
  EXPECT_EQ(line["ratio"], 0.5);
  EXPECT_EQ(line["ok"], false);
  EXPECT_EQ(line["text"], "a\tb");
}

TEST(Log, WritesAJsonLineWithoutFields) {
  EXPECT_EQ(JsonLine([] { log::Debug("started"); })["event"], "started");
}

TEST(Log, LeavesOutEventsBelowItsLevel) {
  const auto all = [] {
    log::Debug("one");
    log::Info("two");
    log::Warning("three");
    log::Error("four");
  };
  const std::string lines = Logged(log::Level::kWarning, log::Format::kText, all);
  EXPECT_THAT(lines, Not(HasSubstr("two")));
  EXPECT_THAT(lines, HasSubstr("three"));
  EXPECT_THAT(lines, HasSubstr("four"));
  EXPECT_THAT(Logged(log::Level::kError, log::Format::kText, [] { log::Warning("three"); }), IsEmpty());
}

}  // namespace
}  // namespace postcall
