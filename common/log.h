// The program's log: one line an event on standard error, as text or as JSON (CONTRACT §5, --log-format).
// An event is a short fixed sentence plus named fields, so that a person can read it and a machine can
// filter. Never pass passwords, query values, header values or secrets (CONTRACT §6). Any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

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

}  // namespace postcall::log
