#include "tests/support/endpoint_script.h"

#include <boost/algorithm/string/predicate.hpp>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace postcall::test {
namespace {

Script Single(Step step) {
  Script script;
  script.steps.push_back(std::move(step));
  return script;
}

Script Ends(Ending ending, std::string name) { return {.ending = ending, .name = std::move(name)}; }

Script Named(std::string name, Script script) {
  script.name = std::move(name);
  return script;
}

const std::string kChunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string_view Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 500:
      return "Internal Server Error";
    default:
      return "Scripted";
  }
}

}  // namespace

Script operator+(Script first, Script second) {
  if (first.ending != Ending::kContinue) throw std::logic_error("nothing can follow a script that has ended");
  for (Step& step : second.steps) first.steps.push_back(std::move(step));
  first.ending = second.ending;
  if (first.name.empty()) first.name = std::move(second.name);
  return first;
}

std::optional<int> StatusOf(const Script& script) {
  std::string bytes;
  for (const Step& step : script.steps) {
    if (const auto* send = std::get_if<SendStep>(&step)) bytes += send->bytes;
    if (const auto* drip = std::get_if<DripStep>(&step)) bytes += drip->bytes;
    if (const auto* forever = std::get_if<SendForeverStep>(&step)) bytes += forever->bytes;
  }
  std::string_view rest = bytes;
  while (rest.starts_with("HTTP/1.") && rest.size() >= 12) {
    if (rest[9] != '1') return std::atoi(std::string(rest.substr(9, 3)).c_str());
    const std::size_t end = rest.find("\r\n\r\n");
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 4);
  }
  return std::nullopt;
}

Script Nothing() { return {}; }
Script Send(std::string bytes) { return Single(SendStep{std::move(bytes)}); }
Script Drip(std::string bytes, std::chrono::milliseconds interval, std::size_t piece) {
  return Single(DripStep{std::move(bytes), interval, piece});
}
Script Wait(std::chrono::milliseconds duration) { return Single(WaitStep{duration}); }
Script AwaitBytes() { return Single(AwaitBytesStep{}); }
Script SendForever(std::string bytes) { return Single(SendForeverStep{std::move(bytes)}); }
Script SendTlsMessages(TlsMessage message, std::size_t count) {
  return Single(TlsMessageStep{message, count});
}
Script Hang() { return Ends(Ending::kHang, "hang"); }
Script Ignore() { return Ends(Ending::kIgnore, "ignore"); }
Script Close() { return Ends(Ending::kClose, "close"); }
Script Cut() { return Ends(Ending::kCut, "cut"); }
Script Reset() { return Ends(Ending::kReset, "reset"); }

std::string Response(int status, const std::string& body, const Headers& headers) {
  std::string text = "HTTP/1.1 " + std::to_string(status) + " " + std::string(Reason(status)) + "\r\n";
  bool framed = status == 204 || status == 304 || status < 200;
  for (const auto& [name, value] : headers) {
    text += name + ": " + value + "\r\n";
    framed = framed || boost::algorithm::iequals(name, "Content-Length") ||
             boost::algorithm::iequals(name, "Transfer-Encoding");
  }
  if (!framed) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}

Script Respond(int status, const std::string& body, const Headers& headers) {
  return Named(std::to_string(status), Send(Response(status, body, headers)));
}

Script RedirectTo(const std::string& location, int status) {
  return Respond(status, "", {{"Location", location}});
}

Script Garbage() { return Named("garbage", Send("\x16\x03 this is no HTTP\r\n\r\n\xff\xfe") + Close()); }

Script Http09() { return Named("http09", Send("<html>no status line, no header</html>\n") + Close()); }

Script Http2Preface() {
  // An empty SETTINGS frame: length 0, type 4, no flags, stream 0 (RFC 9113 §3.4).
  return Named("http2", Send(std::string("\0\0\0\4\0\0\0\0\0", 9)) + Hang());
}

Script EndlessHeader() {
  return Named("endless header",
               Send("HTTP/1.1 200 OK\r\nX-Endless: ") + SendForever(std::string(1024, 'a')));
}

Script EndlessHeaders() {
  return Named("endless headers", Send("HTTP/1.1 200 OK\r\n") + SendForever("X-Again: and again\r\n"));
}

Script EndlessBody() {
  return Named("endless body", Send(kChunkedHead) + SendForever("400\r\n" + std::string(1024, 'b') + "\r\n"));
}

Script EndlessPlainBody() {
  return Named("endless plain body", Send("HTTP/1.1 200 OK\r\n\r\n") + SendForever(std::string(1024, 'b')));
}

Script EndlessTrailers() {
  return Named("endless trailers",
               Send(kChunkedHead + "2\r\nok\r\n0\r\n") + SendForever("X-Trailer: and again\r\n"));
}

Script EndlessChunkExtension() {
  return Named("endless chunk extension", Send(kChunkedHead + "2;x=") + SendForever(std::string(1024, 'c')));
}

Script EndlessInformational() {
  return Named("endless 103", SendForever("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"));
}

Script BodyShorterThanPromised(std::size_t promised) {
  return Named("short body",
               Send(Response(200, "ok", {{"Content-Length", std::to_string(promised)}})) + Close());
}

Script BodyLongerThanPromised() {
  return Named("long body", Send(Response(200, "ok and much more than that", {{"Content-Length", "2"}})));
}

Script HeaderDrip(std::chrono::milliseconds interval) {
  return Named("header drip", Drip(Response(200, "ok", {{"X-Padding", std::string(4000, 'a')}}), interval));
}

Script BodyDrip(std::chrono::milliseconds interval, std::size_t size) {
  return Named("body drip", Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n") +
                                Drip(std::string(size, 'd'), interval));
}

}  // namespace postcall::test
