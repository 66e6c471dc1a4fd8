// What a caller gives a long call: a function that is told how far it is, and a wish to stop, asked
// between layers and in every loop. Leaves to others: what is told.
#pragma once

#include <atomic>
#include <memory>
#include <type_traits>
#include <utility>

#include "ollm/base/result.h"

namespace ollm {

template <typename Signature>
class FunctionRef;

/// Borrows a callable, without owning or allocating as std::function does: for callbacks that are
/// called before the call returns. Valid as long as that lives. Empty when made from nullptr, or
/// from something that is itself empty: a null pointer to a function, a std::function without one.
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  /// Calls nothing, and must not be called.
  FunctionRef(std::nullptr_t) {}  // NOLINT: implicit

  /// Borrows `callable`: anything that takes Args and gives R.
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& callable) {  // NOLINT: implicit, as a parameter it takes a lambda
    if constexpr (can_be_empty<std::remove_cvref_t<F>>) {
      if (callable == nullptr) return;
    }
    object_ = const_cast<void*>(static_cast<const void*>(std::addressof(callable)));
    call_ = [](void* object, Args... args) -> R {
      return (*static_cast<std::add_pointer_t<std::remove_reference_t<F>>>(object))(
          std::forward<Args>(args)...);
    };
  }

  /// Whether there is something to call.
  explicit operator bool() const { return call_ != nullptr; }
  /// Calls it.
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  template <typename F>
  static constexpr bool can_be_empty =
      !std::is_function_v<F> && std::is_constructible_v<F, std::nullptr_t> &&
      requires(const F& callable) { callable == nullptr; };

  void* object_ = nullptr;
  R (*call_)(void*, Args...) = nullptr;
};

/// One wish to stop, shared by who asks for it and who obeys. Setting it is safe in a signal
/// handler; it is never unset by who obeys.
class CancellationToken {
 public:
  /// Wishes. From any thread, and from a signal handler.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  /// Takes the wish back, before the next run. Only by who made it.
  void reset() { cancelled_.store(false, std::memory_order_relaxed); }
  /// Whether it was wished.
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  /// Errors: cancelled, once cancel() was called.
  Result<void> check() const {
    if (cancelled()) return fail(ErrorKind::cancelled, "stopped by the caller");
    return {};
  }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace ollm
