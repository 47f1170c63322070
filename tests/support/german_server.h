// A server whose messages are German, with a locale of the test's own, made with localedef. One thread.
#pragma once

#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "tests/support/must_run.h"
#include "tests/support/private_postgres.h"

namespace postcall::test {

class GermanServer : public ::testing::Test {
 protected:
  GermanServer() {
    std::string folder = (std::filesystem::temp_directory_path() / "postcall-locale-XXXXXX").string();
    folder_ = ::mkdtemp(folder.data());
    const std::string command =
        "localedef -i de_DE -f UTF-8 '" + (folder_ / "de_DE.UTF-8").string() + "' 2>&1";
    has_locale_ = std::system(command.c_str()) == 0;
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));
    ::setenv("LOCPATH", folder_.c_str(), 1);
  }
  ~GermanServer() override {
    ::unsetenv("LOCPATH");
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void SetUp() override {
    if (!has_locale_) {
      constexpr const char* kMissing = "no German locale can be made here (package locales)";
      if (MustRun()) FAIL() << kMissing;
      GTEST_SKIP() << kMissing;
    }
    server_ = std::make_unique<PrivatePostgres>(
        PostgresOptions{.fsync = false, .settings = {"lc_messages=de_DE.UTF-8"}});
  }

  std::unique_ptr<PrivatePostgres> server_;

 private:
  std::filesystem::path folder_;
  bool has_locale_ = false;
};

}  // namespace postcall::test
