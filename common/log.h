// The program's log: one line an event on standard error, as text or as JSON (CONTRACT §5, --log-format).
// An event is a short fixed sentence plus named fields, so that a person can read it and a machine can
// filter. Never pass passwords, query values, header values or secrets (CONTRACT §6). Any thread; none waits
// for whoever reads standard error: lines that it does not take are dropped, and their number is told.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "common/clock.h"

namespace postcall::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

// Sets level and format for the whole process. Call before other threads log.
void Configure(Level level, Format format);

using Value = std::variant<std::int64_t, double, bool, std::string>;

struct Field {
  Field(std::string_view field_name, std::string_view text) : name(field_name), value(std::string(text)) {}
  Field(std::string_view field_name, const std::string& text) : name(field_name), value(text) {}
  Field(std::string_view field_name, const char* text) : name(field_name), value(std::string(text)) {}
  Field(std::string_view field_name, bool flag) : name(field_name), value(flag) {}
  Field(std::string_view field_name, double number) : name(field_name), value(number) {}
  template <class Integer>
  requires std::is_integral_v<Integer> Field(std::string_view field_name, Integer number)
      : name(field_name), value(static_cast<std::int64_t>(number)) {}

  std::string_view name;
  Value value;
};

using Fields = std::initializer_list<Field>;

void Debug(std::string_view event, Fields fields = {});
void Info(std::string_view event, Fields fields = {});
void Warning(std::string_view event, Fields fields = {});
void Error(std::string_view event, Fields fields = {});

// Writes a line of the caller's own at once, before what still waits. False when standard error did not take
// it in time.
bool Print(std::string_view line, SteadyTime by);

// Writes what waits and ends the log: what is logged afterwards is dropped. False when standard error did not
// take it in time; then the process must end by std::_Exit, for the log's thread still waits. Call when no
// other thread logs any more.
bool Close(std::chrono::milliseconds within);

}  // namespace postcall::log
