// Decides what the log says about a POST, by how far it got and not by libcurl's code alone (CONTRACT §4).
// Customers read the sentences, so none of them names an address. Pure; any thread.
#pragma once

#include <curl/curl.h>
#include <chrono>

#include "dispatcher/http/attempt_facts.h"
#include "dispatcher/http/lookup.h"
#include "dispatcher/http/post.h"

namespace postcall::http {

// The attempt is over, with libcurl's `code`. The result has everything except the times.
PostResult JudgeEnd(const AttemptFacts& attempt, CURLcode code);

// What a POST waited for when its time was up: the lookup of the name, an attempt, or the next attempt.
enum class TimeoutIn { kLookup, kAttempt, kWait };

// Time was up after `limit`. `attempt` is the last one; nullptr when none had begun.
PostResult JudgeTimeout(const AttemptFacts* attempt, TimeoutIn step, std::chrono::milliseconds limit);

// The connection was ready, and a rehearsal sends nothing.
PostResult JudgeRehearsal(const AttemptFacts& attempt);

// There was no attempt, or the attempt could not be made.
PostResult JudgeLookup(const LookupResult& failed);
PostResult JudgeBlocked();
PostResult JudgeNoSource();  // no source address is of the family of the endpoint's addresses
PostResult JudgeFault(LocalFault fault);

}  // namespace postcall::http
