// The libcurl options that every POST has: what CONTRACT §2 says about the wire, and what keeps libcurl from
// deciding by itself. Any thread.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <vector>

#include "common/handle.h"
#include "schema/agent_settings.h"
#include "schema/url.h"

namespace postcall::http {

using EasyHandle = Handle<CURL, curl_easy_cleanup>;
using CurlList = Handle<curl_slist, curl_slist_free_all>;

// A connection that was idle for this long is not used again. Common servers close after 5 s, and a request
// that is sent while they close is lost, because it is not sent again.
inline constexpr std::chrono::seconds kReuseAge{4};

void SetRequestOptions(CURL* easy, const Url& url);

// Content-Type, no Expect, then `headers`, including those with an empty value. Throws std::bad_alloc.
CurlList MakeHeaderList(const std::vector<Header>& headers);

}  // namespace postcall::http
