// What the log says of a POST, judged by how far it came rather than by libcurl's code alone (CONTRACT §4).
// Sentences are for the customer's eyes: none names an address. Pure; one thread.
#pragma once

#include <curl/curl.h>
#include <chrono>

#include "dispatcher/http/attempt.h"
#include "dispatcher/http/lookup.h"
#include "dispatcher/http/post.h"

namespace postcall::http {

// The attempt is over, with libcurl's `code`. Everything but the times.
PostResult JudgeEnd(const Attempt& attempt, CURLcode code);

// Time was up after `limit`. `attempt` is nullptr while the name was still being looked up.
PostResult JudgeTimeout(const Attempt* attempt, std::chrono::milliseconds limit);

// The connection stood and nothing was to be sent.
PostResult JudgeRehearsal(const Attempt& attempt);

// There was no attempt, or none could be made.
PostResult JudgeLookup(const LookupResult& failed);
PostResult JudgeBlocked();
PostResult JudgeFault(LocalFault fault);

}  // namespace postcall::http
