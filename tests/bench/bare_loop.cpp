// The minimum that a libcurl program must do: POSTs the lines of a file to one URL, or in turn to the URLs of
// another file, over kept-alive connections, with curl_multi_socket_action on epoll, and prints posts per
// second and CPU per post. The options are those of the dispatcher's engine, without its guards, its database
// and its JSON, so the ratio of the two is the cost of everything else. One thread.
//
//   bare_loop --url URL | --urls FILE  --bodies FILE [--concurrency 200] [--ca-file FILE]
#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/handle.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  std::string url;
  std::string urls_file;
  std::string bodies_file;
  std::string ca_file;
  std::size_t concurrency = 200;
};

struct Transfer {
  postcall::Handle<CURL, curl_easy_cleanup> easy;
  std::size_t received = 0;
};

std::size_t CountBody(char*, std::size_t size, std::size_t count, void* user) {
  static_cast<Transfer*>(user)->received += size * count;
  return size * count;
}

std::size_t CountHeader(char*, std::size_t size, std::size_t count, void* user) {
  static_cast<Transfer*>(user)->received += size * count;
  return size * count;
}

double ProcessorSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class BareLoop {
 public:
  BareLoop(const Settings& settings, const std::vector<std::string>& urls,
           const std::vector<std::string>& bodies)
      : urls_(urls), bodies_(bodies), multi_(curl_multi_init()), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    headers_.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
    curl_slist_append(headers_.get(), "Expect:");
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &BareLoop::WatchSocket);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &BareLoop::SetTimer);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(settings.concurrency));
    transfers_.resize(std::min(settings.concurrency, bodies.size()));
    for (Transfer& transfer : transfers_) Prepare(transfer, settings);
  }

  ~BareLoop() {
    for (Transfer& transfer : transfers_) curl_multi_remove_handle(multi_.get(), transfer.easy.get());
  }
  BareLoop(const BareLoop&) = delete;
  BareLoop& operator=(const BareLoop&) = delete;

  void Run() {
    for (Transfer& transfer : transfers_) StartNext(transfer);
    std::vector<epoll_event> events(256);
    int running = 0;
    while (finished_ < bodies_.size()) {
      const int ready =
          ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), MillisecondsToTimer());
      for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        const int in = (event.events & EPOLLIN) != 0U ? CURL_CSELECT_IN : 0;
        const int out = (event.events & EPOLLOUT) != 0U ? CURL_CSELECT_OUT : 0;
        const int error = (event.events & (EPOLLERR | EPOLLHUP)) != 0U ? CURL_CSELECT_ERR : 0;
        curl_multi_socket_action(multi_.get(), event.data.fd, in | out | error, &running);
        Drain();
      }
      if (timer_set_ && Clock::now() >= timer_) {
        timer_set_ = false;
        curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
        Drain();
      }
    }
  }

  std::size_t succeeded() const { return succeeded_; }
  const std::string& first_error() const { return first_error_; }

 private:
  void Prepare(Transfer& transfer, const Settings& settings) {
    transfer.easy.reset(curl_easy_init());
    CURL* easy = transfer.easy.get();
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "postcall-dispatcher/" POSTCALL_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10000L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 3L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    // libcurl reads the file once and keeps what it read (CURLOPT_CA_CACHE_TIMEOUT).
    curl_easy_setopt(easy, CURLOPT_CAINFO, settings.ca_file.empty() ? nullptr : settings.ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, "DEFAULT:!kDHE");
    curl_easy_setopt(easy, CURLOPT_SSL_EC_CURVES, "X25519:P-256:P-384:P-521");
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &CountBody);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &CountHeader);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  }

  void StartNext(Transfer& transfer) {
    if (started_ == bodies_.size()) return;
    const std::string& body = bodies_[started_];
    curl_easy_setopt(transfer.easy.get(), CURLOPT_URL, urls_[started_ % urls_.size()].c_str());
    ++started_;
    curl_easy_setopt(transfer.easy.get(), CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(transfer.easy.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_multi_add_handle(multi_.get(), transfer.easy.get());
  }

  void Drain() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* easy = message->easy_handle;
      const CURLcode result = message->data.result;
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      Transfer* transfer = nullptr;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
      ++finished_;
      if (result == CURLE_OK && status / 100 == 2) {
        ++succeeded_;
      } else if (first_error_.empty()) {
        first_error_ = result == CURLE_OK ? "status " + std::to_string(status) : curl_easy_strerror(result);
      }
      curl_multi_remove_handle(multi_.get(), easy);
      StartNext(*transfer);
    }
  }

  int MillisecondsToTimer() const {
    if (!timer_set_) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(timer_ - Clock::now()).count();
    return static_cast<int>(std::max<decltype(left)>(left, 0));
  }

  static int WatchSocket(CURL*, curl_socket_t socket, int what, void* user, void* known) {
    auto* self = static_cast<BareLoop*>(user);
    if (what == CURL_POLL_REMOVE) {
      ::epoll_ctl(self->epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
      return 0;
    }
    epoll_event event{};
    event.data.fd = socket;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) event.events |= EPOLLIN;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) event.events |= EPOLLOUT;
    ::epoll_ctl(self->epoll_.get(), known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
    curl_multi_assign(self->multi_.get(), socket, self);
    return 0;
  }

  static int SetTimer(CURLM*, long milliseconds, void* user) {
    auto* self = static_cast<BareLoop*>(user);
    self->timer_set_ = milliseconds >= 0;
    if (self->timer_set_) self->timer_ = Clock::now() + std::chrono::milliseconds(milliseconds);
    return 0;
  }

  const std::vector<std::string>& urls_;
  const std::vector<std::string>& bodies_;
  postcall::Handle<curl_slist, curl_slist_free_all> headers_;
  postcall::Handle<CURLM, curl_multi_cleanup> multi_;
  postcall::FileDescriptor epoll_;
  std::vector<Transfer> transfers_;
  Clock::time_point timer_;
  bool timer_set_ = false;
  std::size_t started_ = 0;
  std::size_t finished_ = 0;
  std::size_t succeeded_ = 0;
  std::string first_error_;
};

Settings ParseArguments(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--url") {
      settings.url = value;
    } else if (name == "--urls") {
      settings.urls_file = value;
    } else if (name == "--ca-file") {
      settings.ca_file = value;
    } else if (name == "--bodies") {
      settings.bodies_file = value;
    } else if (name == "--concurrency") {
      settings.concurrency = std::stoul(value);
    } else {
      throw std::invalid_argument("unknown option " + std::string(name));
    }
  }
  if (settings.url.empty() == settings.urls_file.empty() || settings.bodies_file.empty() ||
      settings.concurrency == 0) {
    throw std::invalid_argument(
        "usage: bare_loop --url URL | --urls FILE  --bodies FILE [--concurrency 200] [--ca-file FILE]");
  }
  return settings;
}

std::vector<std::string> ReadLines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  if (lines.empty()) throw std::runtime_error("no lines in " + path);
  return lines;
}

int Run(const Settings& settings) {
  const std::vector<std::string> urls =
      settings.urls_file.empty() ? std::vector{settings.url} : ReadLines(settings.urls_file);
  const std::vector<std::string> bodies = ReadLines(settings.bodies_file);
  std::size_t bytes = 0;
  for (const std::string& body : bodies) bytes += body.size();

  BareLoop loop(settings, urls, bodies);
  const double cpu_before = ProcessorSeconds();
  const auto begin = Clock::now();
  loop.Run();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double cpu = ProcessorSeconds() - cpu_before;

  const auto posts = static_cast<double>(bodies.size());
  // One line of name=value pairs, for a person and for tests/bench/harness/bare.py.
  std::printf("posts=%zu succeeded=%zu bytes=%zu seconds=%.3f posts_per_second=%.0f cpu_us_per_post=%.1f\n",
              bodies.size(), loop.succeeded(), bytes, seconds, posts / seconds, cpu * 1e6 / posts);
  if (loop.succeeded() == bodies.size()) return 0;
  std::cerr << "bare_loop: " << bodies.size() - loop.succeeded()
            << " posts failed, the first with: " << loop.first_error() << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_ALL);
  try {
    return Run(ParseArguments(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "bare_loop: " << error.what() << '\n';
    return 1;
  }
}
