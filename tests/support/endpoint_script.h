// What a hostile endpoint does on a connection, as data: steps one after the other, then an ending.
//   Respond(200), Wait(3s) + Respond(503), Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab") + Reset()
// Any thread; value types.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace postcall::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct SendStep {
  std::string bytes;
};
struct DripStep {
  std::string bytes;
  std::chrono::milliseconds interval;  // before each piece
  std::size_t piece;                   // bytes
};
struct WaitStep {
  std::chrono::milliseconds duration;
};
struct AwaitBytesStep {};  // waits until the peer's next bytes are in the socket; they stay there, unread
struct SendForeverStep {
  std::string bytes;  // repeated, as fast as the peer takes them, until it closes
};
enum class TlsMessage { kKeyUpdate, kSessionTicket };
struct TlsMessageStep {
  TlsMessage message;  // a message of TLS 1.3 itself, without data
  std::size_t count;   // all are made first, then sent at once; it stops making them after a second
};
using Step = std::variant<SendStep, DripStep, WaitStep, AwaitBytesStep, SendForeverStep, TlsMessageStep>;

enum class Ending {
  kContinue,  // continues: with the next script, or with the connection's next request
  kHang,      // keeps the connection open and sends nothing more
  kIgnore,    // like kHang, but also reads nothing more, so it misses the peer's close; closes after 5 s
  kClose,     // a normal close: all bytes that were sent arrive, then the end (with close_notify on TLS)
  kCut,       // like kClose but without close_notify
  kReset,     // RST
};

struct Script {
  std::vector<Step> steps = {};
  Ending ending = Ending::kContinue;
  std::string name = {};  // for the ledger: "200", "hang", …
};

// Both scripts, one after the other; the first must end with kContinue. The name is that of the first one
// that has a name.
Script operator+(Script first, Script second);

// The status of the final response that the script begins, not of a 1xx; no value when it begins none.
std::optional<int> StatusOf(const Script& script);

// Building blocks.
Script Nothing();
Script Send(std::string bytes);
Script Drip(std::string bytes, std::chrono::milliseconds interval, std::size_t piece = 1);
Script Wait(std::chrono::milliseconds duration);
Script AwaitBytes();
Script SendForever(std::string bytes);
Script SendTlsMessages(TlsMessage message, std::size_t count);
Script Hang();
Script Ignore();
Script Close();
Script Cut();
Script Reset();

// A well-formed response, as bytes and as a script. It has a Content-Length, unless `headers` has that or
// Transfer-Encoding.
std::string Response(int status, const std::string& body = "", const Headers& headers = {});
Script Respond(int status, const std::string& body = "", const Headers& headers = {});

// Faulty answers; each is a whole answer.
Script RedirectTo(const std::string& location, int status = 302);
Script Garbage();           // bytes that are not HTTP, then the end
Script Http09();            // a body without any header, then the end
Script Http2Preface();      // a SETTINGS frame, as from a server that knows only HTTP/2
Script EndlessHeader();     // one header line that never ends
Script EndlessHeaders();    // one header line after the other
Script EndlessBody();       // chunked
Script EndlessPlainBody();  // neither Content-Length nor chunks
Script EndlessTrailers();
Script EndlessChunkExtension();
Script EndlessInformational();                               // 103 after 103
Script BodyShorterThanPromised(std::size_t promised = 100);  // then the end
Script BodyLongerThanPromised();                             // keeps the connection open
Script HeaderDrip(std::chrono::milliseconds interval);       // a 200 whose header comes byte by byte
// The header comes at once, the body byte by byte.
Script BodyDrip(std::chrono::milliseconds interval, std::size_t size = 100000);

}  // namespace postcall::test
