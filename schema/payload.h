// The body of the POST (CONTRACT §2; payload.schema.json beside this file). Any thread; pure.
#pragma once

#include <string>

#include "schema/call.h"

namespace postcall {

// One JSON object in UTF-8 without insignificant white space, with the keys in the contract's order and
// without the keys of NULL columns. Numbers and jsonb values are copied as PostgreSQL prints them, except for
// white space, so every digit is kept; a score that is not a JSON number (NaN, Infinity) is left out.
// Malformed UTF-8 becomes U+FFFD.
std::string BuildPayload(const Call& call);

}  // namespace postcall
