// Builds a PostgreSQL array literal, which passes a whole batch to one statement:
// {1,NULL,"quoted \" text"}. A value type.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/utf8.h"

namespace postcall::postgres {

class ArrayLiteral {
 public:
  // Takes any bytes; those that PostgreSQL cannot store are replaced (see ToStorableText).
  void Add(std::string_view text) {
    Separate();
    literal_ += '"';
    if (IsPlain(text)) {
      Append(text);
    } else {
      Append(ToStorableText(text));
    }
    literal_ += '"';
  }

  template <class Number>
  requires((std::integral<Number> && !std::same_as<Number, bool>) ||
           std::floating_point<Number>) void Add(Number number) {
    Separate();
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    literal_.append(digits, end);
  }

  template <std::same_as<bool> Flag>  // not a pointer, which would convert to bool
  void Add(Flag flag) {
    Separate();
    literal_ += flag ? 't' : 'f';
  }

  void AddNull() {
    Separate();
    literal_ += "NULL";
  }

  template <class Value>
  void Add(const std::optional<Value>& value) {
    if (value) {
      Add(*value);
    } else {
      AddNull();
    }
  }

  // Adds NULL instead of an empty text.
  void AddUnlessEmpty(std::string_view text) {
    if (text.empty()) {
      AddNull();
    } else {
      Add(text);
    }
  }

  std::string Close() && {
    literal_ += '}';
    return std::move(literal_);
  }

 private:
  // True for ASCII without NUL, which most response bodies are. This check of the bytes is far cheaper than
  // decoding the characters.
  static bool IsPlain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<signed char>(c) > 0; });
  }

  // Escapes quotes and backslashes; nothing else needs it. In UTF-8 no byte of a longer character equals one
  // of these two.
  void Append(std::string_view text) {
    const auto is_escaped = [](char c) { return c == '"' || c == '\\'; };
    auto plain = text.begin();
    for (auto at = std::find_if(plain, text.end(), is_escaped); at != text.end();
         at = std::find_if(at + 1, text.end(), is_escaped)) {
      literal_.append(plain, at);
      literal_ += '\\';
      plain = at;
    }
    literal_.append(plain, text.end());
  }

  void Separate() {
    if (literal_.size() > 1) literal_ += ',';
  }

  std::string literal_ = "{";
};

}  // namespace postcall::postgres
