#include "tests/support/system_names.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace postcall::test {
namespace {

std::string AddressOfThisProcess() {
  const auto number = static_cast<unsigned>(::getpid());
  return "127." + std::to_string(1 + number / 65536 % 250) + "." + std::to_string(number / 256 % 256) + "." +
         std::to_string(1 + number % 250);
}

}  // namespace

SystemNames::SystemNames()
    : address_(AddressOfThisProcess()),
      resolv_conf_(std::filesystem::temp_directory_path() / ("resolv." + std::to_string(::getpid()))),
      server_(address_, 53) {
  PointTo(address_);
}

SystemNames::~SystemNames() {
  std::error_code ignored;
  std::filesystem::remove(resolv_conf_, ignored);
}

std::string SystemNames::other_address() const { return address_.substr(0, address_.rfind('.') + 1) + "253"; }

// It overwrites the file, because a process has the file itself mounted, not its name.
void SystemNames::PointTo(const std::string& address) const {
  std::ofstream(resolv_conf_) << "nameserver " << address << "\n";
}

}  // namespace postcall::test
