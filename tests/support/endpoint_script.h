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
struct SendForeverStep {
  std::string bytes;  // again and again, as fast as the peer takes them, till it goes away
};
enum class TlsMessage { kKeyUpdate, kSessionTicket };
struct TlsMessageStep {
  TlsMessage message;  // of TLS 1.3 itself, no data
  std::size_t count;   // made first, then sent at once: the peer is never kept waiting for the next
};
using Step = std::variant<SendStep, DripStep, WaitStep, SendForeverStep, TlsMessageStep>;

enum class Ending {
  kContinue,  // goes on with what comes next: the next script, or the connection's next request
  kHang,      // keeps the connection, says nothing more
  kClose,     // in good order: all that was sent arrives, then the end (close_notify too, on TLS)
  kCut,       // as kClose but without close_notify
  kReset,     // RST
};

struct Script {
  std::vector<Step> steps = {};
  Ending ending = Ending::kContinue;
  std::string name = {};  // for the ledger: "200", "hang", …
};

// One after the other; the first must end with kContinue. The name is that of the first that has one.
Script operator+(Script first, Script second);

// The status of the final response that the script begins, 1xx answers left out; none when it begins none.
std::optional<int> StatusOf(const Script& script);

// Building blocks.
Script Nothing();
Script Send(std::string bytes);
Script Drip(std::string bytes, std::chrono::milliseconds interval, std::size_t piece = 1);
Script Wait(std::chrono::milliseconds duration);
Script SendForever(std::string bytes);
Script SendTlsMessages(TlsMessage message, std::size_t count);
Script Hang();
Script Close();
Script Cut();
Script Reset();

// A well-formed response as bytes, with Content-Length unless `headers` has it or Transfer-Encoding, and as a
// script.
std::string Response(int status, const std::string& body = "", const Headers& headers = {});
Script Respond(int status, const std::string& body = "", const Headers& headers = {});

// Ready-made mischief; each is the whole answer.
Script RedirectTo(const std::string& location, int status = 302);
Script Garbage();           // bytes that are no HTTP, then the end
Script Http09();            // a body without any header, then the end
Script Http2Preface();      // a SETTINGS frame, as from a server that speaks HTTP/2 only
Script EndlessHeader();     // one header line that never ends
Script EndlessHeaders();    // one header line after the other
Script EndlessBody();       // chunked
Script EndlessPlainBody();  // neither Content-Length nor chunks
Script EndlessTrailers();
Script EndlessChunkExtension();
Script EndlessInformational();                               // 103 after 103
Script BodyShorterThanPromised(std::size_t promised = 100);  // then the end
Script BodyLongerThanPromised();                             // keeps the connection
Script HeaderDrip(std::chrono::milliseconds interval);       // a 200 whose header comes byte by byte
Script BodyDrip(std::chrono::milliseconds interval,
                std::size_t size = 100000);  // header at once, body byte by byte

}  // namespace postcall::test
