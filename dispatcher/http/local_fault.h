// Which errors of the system are this machine's own trouble, not the endpoint's (CONTRACT §2). Pure.
#pragma once

#include <cerrno>

#include "dispatcher/http/post.h"

namespace postcall::http {

// From the errno of making a socket or of connecting it. EADDRNOTAVAIL is not judged here: it says that local
// ports ran out only where there is a source address at all.
inline LocalFault LocalFaultOf(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
      return LocalFault::kDescriptors;
    case ENOMEM:
    case ENOBUFS:
      return LocalFault::kMemory;
    default:
      return LocalFault::kNone;
  }
}

}  // namespace postcall::http
