// Converts values between PostgreSQL's text and our types. Moments are sent as bigint, in whole microseconds
// since 1970: timestamptz has the same precision, and neither rounding nor the session's time zone can change
// them. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <pqxx/result>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace postcall::postgres {

inline std::int64_t ToMicroseconds(DatabaseTime moment) { return moment.time_since_epoch().count(); }
inline DatabaseTime FromMicroseconds(std::int64_t count) {
  return DatabaseTime(std::chrono::microseconds(count));
}

// For a timestamptz parameter. With a parameter the planner can exclude partitions, with an expression it
// cannot.
inline std::string TimestampOf(DatabaseTime moment) {
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(moment - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d.%06d+00", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
  return text;
}

// Valid as long as the result exists.
inline std::string_view TextOf(const pqxx::field& field) { return {field.c_str(), field.size()}; }

inline std::optional<std::string_view> ColumnOf(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return TextOf(field);
}

inline DatabaseTime MomentOf(const pqxx::field& field) { return FromMicroseconds(field.as<std::int64_t>()); }

}  // namespace postcall::postgres
