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

// What a POST was at when its time was up: the lookup of the name, an attempt, or the wait for the next one.
enum class TimeoutIn { kLookup, kAttempt, kWait };

// Time was up after `limit`. `attempt` is the last one; nullptr when none had begun.
PostResult JudgeTimeout(const Attempt* attempt, TimeoutIn step, std::chrono::milliseconds limit);

// The connection stood and nothing was to be sent.
PostResult JudgeRehearsal(const Attempt& attempt);

// There was no attempt, or none could be made.
PostResult JudgeLookup(const LookupResult& failed);
PostResult JudgeBlocked();
PostResult JudgeFault(LocalFault fault);

}  // namespace postcall::http
