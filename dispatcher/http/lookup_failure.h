// What the status of c-ares says about a lookup that failed. Pure; any thread.
#pragma once

#include <string>

#include "dispatcher/http/lookup.h"

namespace postcall::http {

// `answered`: a name server sent a message for this lookup. Versions of c-ares differ in how they tell apart
// SERVFAIL, an answer that cannot be read and no answer; some do not tell them apart at all.
LookupFailure FailureOf(int status, bool answered);

// One sentence for the customer and the operator.
std::string Sentence(LookupFailure failure, int status);

}  // namespace postcall::http
