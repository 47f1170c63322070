#include "dispatcher/http/request_options.h"

#include <new>
#include <string>

namespace postcall::http {
namespace {

// In one call, libcurl fills its buffer up to a hundred times, since 8.6 up to ten times. The product must be
// a little more than kMaxWireBytes.
long BufferSize() {
  static const bool ten_times = curl_version_info(CURLVERSION_NOW)->version_num >= 0x080600;
  return ten_times ? 65536 : 8192;
}

}  // namespace

void SetRequestOptions(CURL* easy, const Url& url) {
  curl_easy_setopt(easy, CURLOPT_URL, url.ToString().c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "postcall-dispatcher/" POSTCALL_VERSION);
  if (url.has_credentials) {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    curl_easy_setopt(easy, CURLOPT_USERNAME, url.user.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, url.password.c_str());
  }

  // HTTP/2 in libcurl 7.88 sends refused streams again by itself, and can report an aborted answer as
  // complete.
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);

  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BufferSize());

  // These keep libcurl from using the environment.
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);

  // The resolver looks up names, so libcurl gets numeric addresses. It caches none, because it walks over its
  // whole cache after every transfer.
  curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
  // libcurl counts whole seconds: 3 means less than 4.
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, static_cast<long>(kReuseAge.count()) - 1);

  // The authorities come from the CaStore; libcurl reads no bundle of its own.
  curl_easy_setopt(easy, CURLOPT_CAINFO, nullptr);
  curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // No key exchange over finite fields: the server chooses their size, and large ones take half a second of
  // our time.
  curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, "DEFAULT:!kDHE");
  curl_easy_setopt(easy, CURLOPT_SSL_EC_CURVES, "X25519:P-256:P-384:P-521");
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
}

CurlList MakeHeaderList(const std::vector<Header>& headers) {
  CurlList list;
  curl_slist* last = nullptr;  // libcurl would walk the whole list each time
  const auto append = [&](const std::string& line) {
    curl_slist* const appended = curl_slist_append(last, line.c_str());
    if (appended == nullptr) throw std::bad_alloc();
    if (!list) list.reset(appended);
    last = last == nullptr ? appended : last->next;
  };
  append("Content-Type: application/json");
  append("Expect:");
  for (const Header& header : headers) {
    // libcurl drops a header written `Name:`.
    append(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  return list;
}

}  // namespace postcall::http
