#include "common/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <memory>
#include <nlohmann/json.hpp>

namespace postcall::log {
namespace {

Format g_format = Format::kText;

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made =
        std::make_shared<spdlog::logger>("postcall", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-7l %v", spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
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

// Dumping with `replace` keeps a byte that is not UTF-8 from ending the program.
std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

nlohmann::ordered_json ToJson(const Value& value) {
  return std::visit([](const auto& held) { return nlohmann::ordered_json(held); }, value);
}

// Strings are quoted as JSON where they have blanks or control characters, so a line stays a line.
std::string ToText(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && !text->empty() && text->find_first_of("\"\\= \t\r\n") == std::string::npos &&
      Dump(*text).size() == text->size() + 2) {
    return *text;
  }
  return Dump(ToJson(value));
}

void Write(Level level, std::string_view event, Fields fields) {
  const auto spdlog_level = ToSpdlog(level);
  if (!Logger().should_log(spdlog_level)) return;
  if (g_format == Format::kJson) {
    nlohmann::ordered_json line;
    line["event"] = event;
    for (const Field& field : fields) line[std::string(field.name)] = ToJson(field.value);
    const std::string members = Dump(line);
    Logger().log(spdlog_level, std::string_view(members).substr(1));  // the pattern opens the object
    return;
  }
  std::string line(event);
  for (const Field& field : fields)
    line.append(" ").append(field.name).append("=").append(ToText(field.value));
  Logger().log(spdlog_level, line);
}

}  // namespace

void Configure(Level level, Format format) {
  g_format = format;
  Logger().set_level(ToSpdlog(level));
  if (format == Format::kJson) {
    Logger().set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v)",
                         spdlog::pattern_time_type::utc);
  }
}

void Debug(std::string_view event, Fields fields) { Write(Level::kDebug, event, fields); }
void Info(std::string_view event, Fields fields) { Write(Level::kInfo, event, fields); }
void Warning(std::string_view event, Fields fields) { Write(Level::kWarning, event, fields); }
void Error(std::string_view event, Fields fields) { Write(Level::kError, event, fields); }

}  // namespace postcall::log
