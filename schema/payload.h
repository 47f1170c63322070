// The body of the POST (CONTRACT §2; payload.schema.json beside this file). Any thread; pure.
#pragma once

#include <string>

#include "schema/call.h"

namespace postcall {

// One JSON object, UTF-8, keys in the contract's order, a NULL column's key left out. Numbers and jsonb
// values are copied as PostgreSQL prints them, so that every digit survives; a score that is no JSON number
// (NaN, Infinity) is left out. Malformed UTF-8 becomes U+FFFD.
std::string BuildPayload(const Call& call);

}  // namespace postcall
