// A finished call as the source views give it: what the payload is made of (CONTRACT §2, §3).
// Any thread; views into memory that the caller keeps (the rows of one claim).
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace postcall {

// A column's text; none is SQL NULL.
using Column = std::optional<std::string_view>;

// The payload's keys of callerDetails, in order, and the columns that they come from.
struct Field {
  std::string_view key;
  std::string_view column;
};
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
  Column interests_and_needs;  // these three: JSON text as jsonb prints it
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
