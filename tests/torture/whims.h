// Other things that a platform does with its tables: it completes calls with every kind of statement, undoes
// that, deletes, imports, and writes invalid settings. Each whim is a few short transactions, and it writes
// the expected result into the book. One thread.
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
  // Inserts its agents, which send to the two `urls`. It uses `random`, which outlives it.
  Whims(std::string database_url, std::vector<std::string> urls, std::mt19937& random);

  struct Whim {
    std::string name;
    std::function<void(pqxx::connection&)> act;  // throws pqxx::failure when the database is away
  };
  std::vector<Whim> Kinds();
  void Act(const Whim& whim) const;

  // A transaction that stays open. It has an id of its own, and locks on the calls that it completes and on
  // others that it only locks. The destructor rolls back.
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
