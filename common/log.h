// The program's log: one line per event on standard error, as text or as JSON (CONTRACT §5, --log-format). An
// event is a short fixed sentence plus named fields, so that a person can read it and a machine can filter
// it. Never pass passwords, query values, header values or secrets (CONTRACT §6). Any thread; no thread waits
// for the reader of standard error: lines that it does not read are dropped and counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
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
  // The field is left out of the line when it has no value.
  template <class Held>
  Field(std::string_view field_name, const std::optional<Held>& maybe) : name(field_name) {
    if (maybe) value = Field(field_name, *maybe).value;
  }

  std::string_view name;
  std::optional<Value> value;
};

using Fields = std::initializer_list<Field>;

void Debug(std::string_view event, Fields fields = {});
void Info(std::string_view event, Fields fields = {});
void Warning(std::string_view event, Fields fields = {});
void Error(std::string_view event, Fields fields = {});

// Writes this line at once, before the lines of the log that still wait. False when standard error did not
// take it until `by`.
bool Print(std::string_view line, SteadyTime by);

// Writes the lines that wait and ends the log; later events are dropped. False when standard error did not
// take the lines in time: then the process must end by std::_Exit, because the log's thread still waits. Call
// it when no other thread logs any more.
bool Close(std::chrono::milliseconds within);

}  // namespace postcall::log
