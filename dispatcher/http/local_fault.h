// Which system errors are, or may be, faults of this machine and not of the endpoint (CONTRACT §2). Pure.
#pragma once

#include <cerrno>
#include <optional>

#include "schema/local_fault.h"

namespace postcall::http {

// The fault that the errno of opening or connecting a socket means. EADDRNOTAVAIL is not judged here: it
// means that there are no local ports only when there is a source address for the endpoint.
inline std::optional<LocalFault> LocalFaultOf(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
      return LocalFault::kDescriptors;
    case ENOMEM:
    case ENOBUFS:
      return LocalFault::kMemory;
    default:
      return std::nullopt;
  }
}

// Whether the errno of connecting says that the address cannot be reached: no route, a route that discards, a
// gateway that does not answer, an interface that is down, a firewall rule of this machine. EADDRNOTAVAIL is
// not judged here either.
inline bool IsNoRoute(int error) {
  switch (error) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EACCES:  // a route of type "prohibit"
    case EPERM:
    case EINVAL:  // a route of type "blackhole"
      return true;
    default:
      return false;
  }
}

}  // namespace postcall::http
