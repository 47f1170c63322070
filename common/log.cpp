#include "common/log.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/async.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

namespace postcall::log {
namespace {

// At most this many lines wait to be written. When there are more, the oldest are dropped and their number is
// logged.
constexpr std::size_t kMostWaiting = 4096;

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v)";

Format g_format = Format::kText;

std::string Line(std::string_view event, Fields fields);

// Waits until standard error can take more bytes. False when it cannot until `by`, or when it is closed.
bool WaitForRoom(SteadyTime by) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(by - Steady::now());
    pollfd room{STDERR_FILENO, POLLOUT, 0};
    const int count =
        ::poll(&room, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000)));
    if (count > 0) return (room.revents & POLLOUT) != 0;
    if (count == 0 ? Steady::now() >= by : errno != EINTR) return false;
  }
}

// Writes pieces of at most PIPE_BUF bytes: a pipe that has room takes such a piece without blocking. A text
// that cannot be written is lost, because there is no other place to report it.
bool WriteBy(std::string_view text, SteadyTime by) {
  while (!text.empty()) {
    if (!WaitForRoom(by)) return false;
    const ssize_t count = ::write(STDERR_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

// Only the log's own thread uses it.
class StandardError : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit StandardError(spdlog::details::thread_pool& writer) : writer_(writer) {}

 private:
  void sink_it_(const spdlog::details::log_msg& line) override {
    WriteFormatted(line);
    const std::size_t dropped = writer_.overrun_counter();
    if (dropped == dropped_) return;
    const std::string text = Line("log lines were dropped because standard error was not read",
                                  {{"lines", dropped - std::exchange(dropped_, dropped)}});
    WriteFormatted({line.logger_name, spdlog::level::warn, text});
  }

  void WriteFormatted(const spdlog::details::log_msg& line) {
    spdlog::memory_buf_t text;
    formatter_->format(line, text);
    WriteBy({text.data(), text.size()}, SteadyTime::max());
  }

  void flush_() override {}

  spdlog::details::thread_pool& writer_;  // the log's own thread
  std::size_t dropped_ = 0;
};

// The reader of standard error may stop reading: a terminal that is paused, a full disk behind a pipe. So the
// log has a thread of its own that writes, and no other thread waits for the reader.
struct Output {
  Output() = default;
  // The writer ends first: its thread uses the other members until the last line is written.
  ~Output() { writer.reset(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  std::shared_ptr<spdlog::details::thread_pool> writer =
      std::make_shared<spdlog::details::thread_pool>(kMostWaiting, 1, [] {
        sigset_t all;
        sigfillset(&all);  // other threads handle the signals
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      });
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::async_logger>("postcall", std::make_shared<StandardError>(*writer), writer,
                                             spdlog::async_overflow_policy::overrun_oldest);
};

// Null after Close.
std::unique_ptr<Output>& TheOutput() {
  static std::unique_ptr<Output> output = [] {
    auto made = std::make_unique<Output>();
    made->logger->set_pattern(kTextPattern, spdlog::pattern_time_type::utc);
    return made;
  }();
  return output;
}

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// `replace`: otherwise a byte that is not UTF-8 throws, which would end the program.
std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

nlohmann::ordered_json ToJson(const Value& value) {
  return std::visit([](const auto& held) { return nlohmann::ordered_json(held); }, value);
}

// A string with spaces or control characters is quoted as JSON, so that an event stays one line.
std::string ToText(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && !text->empty() && text->find_first_of("\"\\= \t\r\n") == std::string::npos &&
      Dump(*text).size() == text->size() + 2) {
    return *text;
  }
  return Dump(ToJson(value));
}

std::string Line(std::string_view event, Fields fields) {
  if (g_format == Format::kJson) {
    nlohmann::ordered_json line;
    line["event"] = event;
    for (const Field& field : fields) {
      if (field.value) line[std::string(field.name)] = ToJson(*field.value);
    }
    return Dump(line).substr(1);  // the pattern opens the object
  }
  std::string line(event);
  for (const Field& field : fields) {
    if (field.value) line.append(" ").append(field.name).append("=").append(ToText(*field.value));
  }
  return line;
}

void Write(Level level, std::string_view event, Fields fields) {
  const auto& output = TheOutput();
  const auto spdlog_level = ToSpdlog(level);
  if (output && output->logger->should_log(spdlog_level)) {
    output->logger->log(spdlog_level, Line(event, fields));
  }
}

}  // namespace

void Configure(Level level, Format format) {
  g_format = format;
  TheOutput()->logger->set_level(ToSpdlog(level));
  if (format == Format::kJson) {
    TheOutput()->logger->set_pattern(kJsonPattern, spdlog::pattern_time_type::utc);
  }
}

bool Print(std::string_view line, SteadyTime by) { return WriteBy(std::string(line) + "\n", by); }

bool Close(std::chrono::milliseconds within) {
  std::promise<void> written;
  auto when_written = written.get_future();
  // The writer's destructor waits until the last line is written, which may never happen. So a thread of its
  // own runs it.
  std::thread closing([output = std::exchange(TheOutput(), nullptr), written = std::move(written)]() mutable {
    output.reset();
    written.set_value();
  });
  const bool in_time = when_written.wait_for(within) == std::future_status::ready;
  if (in_time) {
    closing.join();  // a thread that still runs while the process exits would use what is destroyed then
  } else {
    closing.detach();
  }
  return in_time;
}

void Debug(std::string_view event, Fields fields) { Write(Level::kDebug, event, fields); }
void Info(std::string_view event, Fields fields) { Write(Level::kInfo, event, fields); }
void Warning(std::string_view event, Fields fields) { Write(Level::kWarning, event, fields); }
void Error(std::string_view event, Fields fields) { Write(Level::kError, event, fields); }

}  // namespace postcall::log
