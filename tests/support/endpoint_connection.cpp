#include "tests/support/endpoint_connection.h"

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

namespace postcall::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kLongestHead = std::size_t{1} << 20;
constexpr std::size_t kEndlessBlock = 32768;
constexpr auto kCloseLimit = std::chrono::seconds(5);

// The string after "callId". It is found without parsing, because bodies can have megabytes.
std::string CallIdIn(const std::string& body) {
  static const std::string kKey = "\"callId\"";
  const std::size_t key = body.find(kKey);
  if (key == std::string::npos) return "";
  const std::size_t begin = body.find_first_not_of(" \t\r\n:", key + kKey.size());
  if (begin == std::string::npos || body[begin] != '"') return "";
  std::size_t end = begin + 1;
  while (end < body.size() && body[end] != '"') end += body[end] == '\\' ? 2 : 1;
  if (end >= body.size()) return "";
  const auto text = nlohmann::json::parse(body.substr(begin, end - begin + 1), nullptr, false);
  return text.is_string() ? text.get<std::string>() : "";
}

// False when it is not an HTTP/1 request.
bool ParseHead(RequestEntry& request) {
  std::istringstream lines(request.head);
  std::string line;
  std::getline(lines, line);
  boost::algorithm::trim_right(line);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string::npos || first == last || line.compare(last + 1, 7, "HTTP/1.") != 0) return false;
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  request.path = request.target.substr(0, request.target.find('?'));
  request.http10 = line.compare(last + 1, std::string::npos, "HTTP/1.0") == 0;
  while (std::getline(lines, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    request.headers.emplace_back(line.substr(0, colon), boost::algorithm::trim_copy(line.substr(colon + 1)));
  }
  return true;
}

std::size_t ContentLength(const RequestEntry& request) {
  const std::string digits = request.Header("Content-Length").value_or("0");
  std::size_t size = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), size);
  return size;
}

}  // namespace

EndpointConnection::EndpointConnection(ConnectionHost& host, std::size_t number, tcp::socket socket)
    : host_(host),
      number_(number),
      socket_(std::move(socket)),
      wire_(MakePlainWire(socket_)),
      timer_(socket_.get_executor()) {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);  // so that each piece of a drip is sent at once
}

void EndpointConnection::Start() {
  ConnectionScript script = host_.ScriptFor(number_);
  Play(std::move(script.at_accept), [this, drip = script.handshake_drip, established = script.established] {
    if (host_.tls() == nullptr) return Play(established, [this] { ReadHead(); });
    Handshake(drip, established);
  });
}

void EndpointConnection::Handshake(std::chrono::milliseconds drip, const Script& then) {
  auto tls = MakeTlsWire(socket_, *host_.tls());
  tls_wire_ = tls.get();
  wire_ = std::move(tls);
  tls_wire_->Handshake(drip, [this, self = shared_from_this(), then](error_code failed) {
    if (auto* ledger = host_.ledger()) {
      ledger->ChangeConnection(number_, [&](ConnectionEntry& entry) {
        entry.server_name = tls_wire_->ServerName();
        if (failed) entry.tls_error = failed.message();
      });
    }
    if (failed) return DiscardUntilEnd();
    Play(then, [this] { ReadHead(); });
  });
}

void EndpointConnection::ReadHead() {
  const std::size_t end = unread_.find("\r\n\r\n");
  if (end != std::string::npos) return OnHead(end + 4);
  const bool nonsense = !unread_.empty() && (unread_[0] < 'A' || unread_[0] > 'Z');
  if (nonsense || unread_.size() > kLongestHead) return Play(Respond(400) + Close(), nullptr);
  ReadSome([this] { ReadHead(); });
}

void EndpointConnection::OnHead(std::size_t head_size) {
  request_ = {};
  request_.connection = number_;
  request_.on_connection = requests_++;
  request_.head = unread_.substr(0, head_size);
  request_.head_at = Steady::now();
  unread_.erase(0, head_size);
  if (!ParseHead(request_)) return Play(Respond(400) + Close(), nullptr);
  body_size_ = ContentLength(request_);
  route_ = host_.RouteFor(request_);
  if (auto* ledger = host_.ledger()) {
    request_.number = ledger->AddRequest(request_);
    ledger->ChangeConnection(number_, [this](ConnectionEntry& entry) { entry.requests = requests_; });
  }
  in_request_ = true;
  if (route_.at == AnswerAt::kHeadEnd) {
    Answer([this] { ReadBody([this] { EndRequest(); }); });
  } else {
    ReadBody([this] { Answer([this] { EndRequest(); }); });
  }
}

void EndpointConnection::ReadBody(Next then) {
  const std::size_t wanted = std::min(body_size_ - request_.body.size(), unread_.size());
  request_.body.append(unread_, 0, wanted);
  unread_.erase(0, wanted);
  if (request_.body.size() < body_size_) {
    return ReadSome([this, then = std::move(then)] { ReadBody(then); });
  }
  request_.complete = true;
  request_.complete_at = Steady::now();
  request_.call_id = CallIdIn(request_.body);
  if (auto* ledger = host_.ledger()) {
    ledger->ChangeRequest(request_.number, [this](RequestEntry& entry) {
      entry.body = request_.body;
      entry.complete = true;
      entry.complete_at = request_.complete_at;
      entry.call_id = request_.call_id;
    });
  }
  then();
}

void EndpointConnection::Answer(Next then) {
  Script script = route_.chooser(request_);
  request_.answer = script.name;
  request_.answer_status = StatusOf(script);
  if (request_.call_id.empty()) request_.call_id = CallIdIn(request_.body + unread_);
  if (auto* ledger = host_.ledger()) {
    ledger->ChangeRequest(request_.number, [this](RequestEntry& entry) {
      entry.call_id = request_.call_id;
      entry.answer = request_.answer;
      entry.answer_status = request_.answer_status;
    });
  }
  host_.OnRequest(request_);
  answering_ = true;
  Play(std::move(script), std::move(then));
}

void EndpointConnection::EndRequest() {
  in_request_ = false;
  const bool last =
      request_.http10 || boost::algorithm::iequals(request_.Header("Connection").value_or(""), "close");
  if (last) return EndSending();
  ReadHead();
}

void EndpointConnection::Play(Script script, Next then) {
  script_ = std::move(script);
  after_script_ = std::move(then);
  PlayStep(0);
}

void EndpointConnection::PlayStep(std::size_t index) {
  if (index == script_.steps.size()) return PlayEnding();
  Step& step = script_.steps[index];
  if (auto* wait = std::get_if<WaitStep>(&step)) {
    return After(wait->duration, [this, index] { PlayStep(index + 1); });
  }
  if (std::holds_alternative<AwaitBytesStep>(step)) {
    return socket_.async_wait(tcp::socket::wait_read,
                              [this, self = shared_from_this(), index](error_code failed) {
                                failed ? CloseNow() : PlayStep(index + 1);
                              });
  }
  if (std::holds_alternative<TlsMessageStep>(step)) return PlayTlsMessages(index);
  NoteAnswerBegan();
  if (auto* send = std::get_if<SendStep>(&step)) {
    return Write(asio::buffer(send->bytes), [this, index] { PlayStep(index + 1); });
  }
  if (std::holds_alternative<DripStep>(step)) return PlayDrip(index, 0);
  const std::string& bytes = std::get<SendForeverStep>(step).bytes;
  std::string block;
  while (block.size() < kEndlessBlock) block += bytes;
  std::get<SendForeverStep>(step).bytes = std::move(block);
  PlayForever(index);
}

void EndpointConnection::PlayDrip(std::size_t index, std::size_t offset) {
  const auto& drip = std::get<DripStep>(script_.steps[index]);
  if (offset >= drip.bytes.size()) return PlayStep(index + 1);
  After(drip.interval, [this, index, offset, &drip] {
    const auto rest = asio::buffer(drip.bytes) + offset;
    Write(asio::buffer(rest, drip.piece),
          [this, index, next = offset + drip.piece] { PlayDrip(index, next); });
  });
}

void EndpointConnection::PlayForever(std::size_t index) {
  const auto& endless = std::get<SendForeverStep>(script_.steps[index]);
  Write(asio::buffer(endless.bytes), [this, index] { PlayForever(index); });
}

void EndpointConnection::PlayTlsMessages(std::size_t index) {
  const auto& step = std::get<TlsMessageStep>(script_.steps[index]);
  const auto bytes = std::make_shared<std::string>(tls_wire_->MakeMessages(step.message, step.count));
  asio::async_write(socket_, asio::buffer(*bytes),
                    [this, self = shared_from_this(), bytes, index](error_code failed, std::size_t) {
                      failed ? CloseNow() : PlayStep(index + 1);
                    });
}

void EndpointConnection::PlayEnding() {
  if (answering_) NoteAnswerEnded();
  switch (script_.ending) {
    case Ending::kContinue:
      return std::exchange(after_script_, nullptr)();
    case Ending::kHang:
      if (in_request_ && !request_.complete) return WaitForBreak();
      return DiscardAndHang();
    case Ending::kIgnore:
      return After(kCloseLimit, [this] { CloseNow(); });
    case Ending::kClose:
      return EndSending();
    case Ending::kCut:
      return DiscardUntilEnd();
    case Ending::kReset: {
      error_code ignored;
      socket_.set_option(asio::socket_base::linger(true, 0), ignored);
      return CloseNow();
    }
  }
}

void EndpointConnection::EndSending() {
  After(kCloseLimit, [this] { CloseNow(); });  // the peer need not answer
  wire_->EndSending([this, self = shared_from_this()](error_code, std::size_t) { DiscardUntilEnd(); });
}

// Ends our bytes and reads what the peer still sends: closing with unread bytes would send RST, and the peer
// could lose bytes that it has not read yet.
void EndpointConnection::DiscardUntilEnd() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  After(kCloseLimit, [this] { CloseNow(); });
  DiscardSome();
}

void EndpointConnection::DiscardSome() {
  socket_.async_read_some(asio::buffer(piece_),
                          [this, self = shared_from_this()](error_code failed, std::size_t) {
                            failed ? CloseNow() : DiscardSome();
                          });
}

// It reads so that a hanging connection notices when its peer closes.
void EndpointConnection::DiscardAndHang() {
  ReadSome([this] {
    unread_.clear();
    DiscardAndHang();
  });
}

// Leaves the peer's bytes in the socket, so that it fills up.
void EndpointConnection::WaitForBreak() {
  socket_.async_wait(tcp::socket::wait_error, [this, self = shared_from_this()](error_code) { CloseNow(); });
}

void EndpointConnection::ReadSome(Next then) {
  wire_->Read(asio::buffer(piece_),
              [this, self = shared_from_this(), then = std::move(then)](error_code failed, std::size_t size) {
                if (failed) return CloseNow();
                unread_.append(piece_.data(), size);
                then();
              });
}

void EndpointConnection::Write(asio::const_buffer bytes, Next then) {
  wire_->Write(bytes, [this, self = shared_from_this(), then = std::move(then)](
                          error_code failed, std::size_t) { failed ? CloseNow() : then(); });
}

void EndpointConnection::After(std::chrono::milliseconds duration, Next then) {
  timer_.expires_after(duration);
  timer_.async_wait([self = shared_from_this(), then = std::move(then)](error_code stopped) {
    if (!stopped) then();
  });
}

void EndpointConnection::NoteAnswerBegan() {
  if (!answering_ || request_.answer_began_at) return;
  request_.answer_began_at = Steady::now();
  if (auto* ledger = host_.ledger()) {
    ledger->ChangeRequest(request_.number,
                          [this](RequestEntry& entry) { entry.answer_began_at = request_.answer_began_at; });
  }
}

void EndpointConnection::NoteAnswerEnded() {
  answering_ = false;
  if (auto* ledger = host_.ledger(); ledger != nullptr && request_.answer_began_at) {
    ledger->ChangeRequest(request_.number, [](auto& entry) { entry.answer_ended_at = Steady::now(); });
  }
}

void EndpointConnection::CloseNow() {
  if (!socket_.is_open()) return;
  error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
  if (auto* ledger = host_.ledger()) {
    if (in_request_ && !request_.complete) {
      ledger->ChangeRequest(request_.number, [this](RequestEntry& entry) {
        entry.body = request_.body;
        entry.call_id = CallIdIn(request_.body + unread_);
      });
    }
    ledger->ChangeConnection(number_, [](ConnectionEntry& entry) { entry.closed_at = Steady::now(); });
  }
  host_.OnClosed(number_);
}

}  // namespace postcall::test
