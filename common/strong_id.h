// Strong types for ids: a call's id cannot be passed where an agent's is meant.
// Any thread; a value type.
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <utility>

namespace postcall {

template <class Tag, class Rep>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(Rep value) : value_(std::move(value)) {}

  const Rep& get() const { return value_; }

  friend bool operator==(const StrongId&, const StrongId&) = default;
  // The compiler compares the result with 0, and clang-tidy 14 believes that this 0 is a pointer.
  friend auto operator<=>(const StrongId&, const StrongId&) = default;  // NOLINT(modernize-use-nullptr)

 private:
  Rep value_{};
};

}  // namespace postcall

template <class Tag, class Rep>
struct std::hash<postcall::StrongId<Tag, Rep>> {
  std::size_t operator()(const postcall::StrongId<Tag, Rep>& id) const { return std::hash<Rep>{}(id.get()); }
};
