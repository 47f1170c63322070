// A callable that can be moved but not copied, so that it can own an object that cannot be copied.
// std::function must be able to copy its callable, and C++20 has no std::move_only_function. Any thread; a
// value type.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace postcall {

template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  // Makes an empty function; one that was moved from is empty, too. Do not call an empty function.
  UniqueFunction() = default;
  UniqueFunction(std::nullptr_t) {}  // NOLINT: implicit, as with std::function

  template <class F>
  requires(!std::is_same_v<F, UniqueFunction> && std::is_invocable_r_v<R, F&, Args...>)
      UniqueFunction(F function)  // NOLINT: implicit, so that functions take lambdas
      : callable_(std::make_unique<Holder<F>>(std::move(function))) {}

  explicit operator bool() const { return callable_ != nullptr; }

  R operator()(Args... args) { return callable_->Call(std::forward<Args>(args)...); }

 private:
  struct Callable {
    virtual ~Callable() = default;
    virtual R Call(Args&&... args) = 0;
  };
  template <class F>
  struct Holder final : Callable {
    explicit Holder(F held) : function(std::move(held)) {}
    R Call(Args&&... args) override { return std::invoke(function, std::forward<Args>(args)...); }
    F function;
  };

  std::unique_ptr<Callable> callable_;
};

}  // namespace postcall
