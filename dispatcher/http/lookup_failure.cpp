#include "dispatcher/http/lookup_failure.h"

#include <ares.h>

namespace postcall::http {

LookupFailure FailureOf(int status, bool answered) {
  switch (status) {
    case ARES_ENOTFOUND:
      return LookupFailure::kNotFound;
    case ARES_ENODATA:
      return LookupFailure::kNoAddress;
    case ARES_ECONNREFUSED:
    case ARES_ETIMEOUT:
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_EFORMERR:
    case ARES_EBADRESP:
      return answered ? LookupFailure::kServerFailed : LookupFailure::kNoServer;
    default:
      return LookupFailure::kOther;
  }
}

std::string Sentence(LookupFailure failure, int status) {
  switch (failure) {
    case LookupFailure::kNone:
      break;
    case LookupFailure::kNotFound:
      return "The host name does not exist.";
    case LookupFailure::kNoAddress:
      return "The host name has no address.";
    case LookupFailure::kServerFailed:
      return "The name servers gave no usable answer.";
    case LookupFailure::kNoServer:
      return "The name servers did not answer.";
    case LookupFailure::kOther:
      if (status == ARES_EBADNAME) return "The host name is not one that can be looked up.";
      return std::string("The name lookup failed: ") + ares_strerror(status) + ".";
  }
  return "";
}

}  // namespace postcall::http
