// A completed call as the source views have it: the input of the payload (CONTRACT §2, §3). Any thread; views
// into memory that the caller owns (the rows of one claim).
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace postcall {

// A column's text; no value is SQL NULL.
using Column = std::optional<std::string_view>;

// A key of the payload's callerDetails, and the column that it comes from.
struct Field {
  std::string_view key;
  std::string_view column;
};
// In the order of the payload.
inline constexpr std::array<Field, 16> kCallerDetailFields = {{
    {"name", "name"},
    {"phoneNumber", "phone_number"},
    {"email", "email"},
    {"scheduledTime", "scheduled_time"},
    {"address", "address"},
    {"pincode", "pincode"},
    {"city", "city"},
    {"state", "state"},
    {"country", "country"},
    {"age", "age"},
    {"gender", "gender"},
    {"occupation", "occupation"},
    {"company", "company"},
    {"preferredContactMethod", "preferred_contact_method"},
    {"bestTimeToCall", "best_time_to_call"},
    {"language", "language"},
}};

struct CallAnalysis {
  Column summary;
  Column mood;
  Column score;  // a number as PostgreSQL prints it
  Column call_outcome;
  Column classification;
  Column interests_and_needs;  // this one and the next two: JSON text as jsonb prints it
  Column action_items;
  Column sentiment;
};

struct Call {
  std::string_view id;
  Column recording_uri;
  Column transcript_uri;
  std::array<Column, kCallerDetailFields.size()> caller_details;  // in the order of kCallerDetailFields
  CallAnalysis analysis;
};

}  // namespace postcall
