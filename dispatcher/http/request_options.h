// What every POST has in common, as libcurl's options: the wire of CONTRACT §2, and what keeps libcurl from
// deciding anything by itself. Any thread.
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

// A connection idle for that long is not used again. Common servers close after 5 s, and a request that meets
// their close on its way is lost: there is no second one.
inline constexpr std::chrono::seconds kReuseAge{4};

void SetRequestOptions(CURL* easy, const Url& url);

// Content-Type, no Expect, and `headers` after them, empty values too. Throws std::bad_alloc.
CurlList MakeHeaderList(const std::vector<Header>& headers);

}  // namespace postcall::http
