// What else a platform does with its tables: completes calls by every statement, takes that back, deletes,
// imports, and writes settings that are none. Each whim is a few short transactions, and the book is told
// what is to come of it. One thread.
#pragma once

#include <functional>
#include <memory>
#include <pqxx/pqxx>
#include <random>
#include <string>
#include <vector>

namespace postcall::test {

class Whims {
 public:
  // Makes its agents, which send to the two `urls`. Draws from `random`, which outlives it.
  Whims(std::string database_url, std::vector<std::string> urls, std::mt19937& random);

  struct Whim {
    std::string name;
    std::function<void(pqxx::connection&)> act;  // throws pqxx::failure when the database is away
  };
  std::vector<Whim> Kinds();
  void Act(const Whim& whim) const;

  // A transaction that stays open, with an id of its own and locks on calls that it completes and on others
  // that are merely locked. Going away rolls back.
  class OpenTransaction {
   public:
    OpenTransaction(const std::string& database_url, const std::string& prefix);
    void Commit();  // throws pqxx::failure

   private:
    pqxx::connection connection_;
    pqxx::work work_;
  };
  std::unique_ptr<OpenTransaction> Open();

 private:
  void CopyCalls(pqxx::connection& connection);
  void Upsert(pqxx::connection& connection);
  void FlipStatus(pqxx::connection& connection);
  void DeleteAndInsert(pqxx::connection& connection);
  void DeleteAndInsertAtOnce(pqxx::connection& connection);
  void ChangeUrl(pqxx::connection& connection);
  void Import(pqxx::connection& connection);
  void WriteDetailsAround(pqxx::connection& connection);
  void UseBadSettings(pqxx::connection& connection);

  std::string NewPrefix(const std::string& kind);
  std::string AnyAgent();

  const std::string database_url_;
  const std::vector<std::string> urls_;
  std::mt19937& random_;
  int number_ = 0;
};

}  // namespace postcall::test
