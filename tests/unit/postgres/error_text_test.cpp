// What the log shows of the texts of database errors, in any language, of libpqxx 6 and 7.
#include "dispatcher/postgres/error_text.h"

#include <gtest/gtest.h>

namespace postcall::postgres {
namespace {

TEST(ErrorText, IsTheFirstLineWithoutTheSeverityInAnyLanguage) {
  for (const char* severity :
       {"ERROR", "FATAL", "PANIC", "FEHLER", "ERREUR", "ОШИБКА", "ВАЖНО", "エラー", "错误", "오류", "BŁĄD",
        "HATA", "ÖLÜMCÜL (FATAL)", "შეცდომა", "ERRO", "CHYBA", "შეცდომა"}) {
    const std::string text =
        std::string(severity) + ":  column \"x\" does not exist\nLINE 1: SELECT 'secret'\n";
    EXPECT_EQ(FirstLine(text), "column \"x\" does not exist") << severity;
    EXPECT_EQ(FirstLine("Failure during 'postcall_1': " + text), "column \"x\" does not exist") << severity;
    EXPECT_EQ(FirstLine("Failure during 'SELECT 'a': b'\nFROM x': " + text), "column \"x\" does not exist")
        << severity;
  }
  EXPECT_EQ(FirstLine("Failure during 'COMMIT': connection lost"), "connection lost");
}

TEST(ErrorText, IsWholeWhenItHasNoSeverity) {
  for (const char* text :
       {"Lost connection to the database server.", "table \"a:  b\" does not exist", "",
        "server closed the connection unexpectedly", "canceling statement due to lock timeout: 3s",
        "the role may not read webhook_source (of schema 3):  see the manual", "Failure during 'x"}) {
    EXPECT_EQ(FirstLine(text), text);
  }
  EXPECT_EQ(FirstLine("ERROR:  relation \"a:  b\" is locked"), "relation \"a:  b\" is locked");
}

TEST(ErrorText, IsWithoutTheCodeOfAVerboseMessage) {
  EXPECT_EQ(FirstLine("FEHLER:  40P01: Verklemmung entdeckt\nORT:  DeadLockReport, deadlock.c:1148\n"),
            "Verklemmung entdeckt");
  EXPECT_EQ(FirstLine("40001: too late"), "40001: too late") << "nothing says that it is one";
}

TEST(ErrorText, OfAConnectionIsOneLine) {
  EXPECT_EQ(
      OneLine("connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n\tIs the server "
              "running on that host and accepting TCP/IP connections?\n"
              "connection to server at \"::1\", port 1 failed: FEHLER:  Rolle »x« existiert nicht\n"),
      "connection to server at \"127.0.0.1\", port 1 failed: Connection refused  Is the server running on "
      "that host and accepting TCP/IP connections? connection to server at \"::1\", port 1 failed: Rolle "
      "»x« existiert nicht");
}

}  // namespace
}  // namespace postcall::postgres
