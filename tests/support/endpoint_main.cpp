// sample-endpoint: an HTTP endpoint to try the dispatcher against, from a shell. It answers by path:
//   /ok 200   /fail 500   /reject 404   /hang never   /slow?ms=2500 200 after that time   /reset RST
// and writes one line per request to the ledger: time, path, callId, answer, separated by tabs.
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "tests/support/hostile_endpoint.h"

namespace {

using postcall::test::HostileEndpoint;
using postcall::test::RequestEntry;
using postcall::test::Script;

std::string TimeNow() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(millis));
  return text;
}

Script Slow(const RequestEntry& request) {
  const std::size_t at = request.target.find("ms=");
  int ms = 1000;
  if (at != std::string::npos) {
    std::from_chars(request.target.data() + at + 3, request.target.data() + request.target.size(), ms);
  }
  return postcall::test::Wait(std::chrono::milliseconds(ms)) + postcall::test::Respond(200, "slow\n");
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// Reads "127.0.0.1:8080" or "[::1]:8080".
postcall::test::EndpointOptions ListenOn(const std::string& listen) {
  const std::size_t colon = std::min(listen.rfind(':'), listen.size());
  std::string address = listen.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  const std::string digits = colon == listen.size() ? "" : listen.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failed != std::errc() || end != digits.data() + digits.size()) {
    throw std::invalid_argument("--listen: write it as 127.0.0.1:8080, or with port 0 for any");
  }
  postcall::test::EndpointOptions options;
  options.address = address;
  options.port = port;
  return options;
}

// Replaces characters that would end the line or the column.
std::string Printable(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
  return text;
}

int Serve(const std::string& listen, const std::string& port_file, const std::string& ledger_file) {
  postcall::test::EndpointOptions options = ListenOn(listen);
  std::ofstream ledger;
  if (!ledger_file.empty()) {
    ledger.open(ledger_file, std::ios::app);
    if (!ledger) throw std::runtime_error("cannot write " + ledger_file);
  }
  options.keep_ledger = false;
  options.on_request = [&ledger](const RequestEntry& request) {
    ledger << TimeNow() << '\t' << request.path << '\t' << Printable(request.call_id) << '\t'
           << request.answer << std::endl;
  };

  // Before the endpoint's thread exists, so that it inherits the mask and the signals wait for sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  HostileEndpoint endpoint(std::move(options));
  endpoint.On("/ok", postcall::test::Respond(200, "ok\n"));
  endpoint.On("/fail", postcall::test::Respond(500, "failed, as asked\n"));
  endpoint.On("/reject", postcall::test::Respond(404, "rejected, as asked\n"));
  endpoint.On("/hang", postcall::test::Hang());
  endpoint.On("/slow", Slow);
  endpoint.On("/reset", postcall::test::Reset());
  endpoint.Otherwise(postcall::test::Respond(404, "paths: /ok /fail /reject /hang /slow?ms= /reset\n"));
  if (!port_file.empty()) {
    // It is written under another name and renamed, so that a reader never sees half of it.
    std::ofstream(port_file + ".new") << endpoint.port() << "\n";
    if (std::rename((port_file + ".new").c_str(), port_file.c_str()) != 0) {
      throw std::runtime_error("cannot write " + port_file);
    }
  }
  std::cout << "listening on " << endpoint.Url("/") << std::endl;

  int received = 0;
  sigwait(&signals, &received);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("An HTTP endpoint to try the dispatcher against.");
  std::string listen = "127.0.0.1:0";
  std::string port_file;
  std::string ledger;
  app.add_option("--listen", listen, "Address and port; port 0 picks one")->capture_default_str();
  app.add_option("--port-file", port_file, "Write the port there once it is open");
  app.add_option("--ledger", ledger, "Append one line per request: time, path, callId, answer");
  CLI11_PARSE(app, argc, argv);
  RaiseDescriptorLimit();
  try {
    return Serve(listen, port_file, ledger);
  } catch (const std::exception& failure) {
    std::cerr << "sample-endpoint: " << failure.what() << "\n";
    return 1;
  }
}
