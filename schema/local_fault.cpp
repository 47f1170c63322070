#include "schema/local_fault.h"

namespace postcall {

std::string_view ToString(LocalFault fault) {
  switch (fault) {
    case LocalFault::kDescriptors:
      return "descriptors";
    case LocalFault::kMemory:
      return "memory";
    case LocalFault::kPorts:
      return "ports";
    case LocalFault::kNetwork:
      return "network";
  }
  return "";
}

}  // namespace postcall
