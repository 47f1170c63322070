// A fault of our own machine, before a byte was sent. It says nothing about the customer's endpoint (CONTRACT
// §2). Pure; any thread.
#pragma once

#include <array>
#include <string_view>

namespace postcall {

enum class LocalFault {
  kDescriptors,  // out of file descriptors, of the process or of the system
  kMemory,       // out of memory or of socket buffers
  kPorts,        // no local port is left for this endpoint
  kNetwork,      // the network is down: no route, or no name server answers
};
inline constexpr std::array kLocalFaults = {LocalFault::kDescriptors, LocalFault::kMemory, LocalFault::kPorts,
                                            LocalFault::kNetwork};

// The text in the label `kind` of postcall_local_faults_total.
std::string_view ToString(LocalFault fault);

}  // namespace postcall
