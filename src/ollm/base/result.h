// What can go wrong, as a value: ErrorKind, Error, Result<T> and OLLM_TRY; and OLLM_API, the mark
// of what the library gives away, which all that includes this one may need. Leaves to others: exit
// codes (cli/) and HTTP statuses, which are made from the kind.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

// Which symbols the shared library gives away: what OLLM_API marks, and nothing else, as all is
// compiled with -fvisibility=hidden. Marked are the functions of installed headers that need no
// type which is not installed; the test `package` holds both directions.
#define OLLM_API __attribute__((visibility("default")))

namespace ollm {

/// What kind of thing went wrong: the fewest kinds that a caller has to tell apart.
enum class ErrorKind {
  invalid_argument,  // the caller asked for something that makes no sense
  not_found,         // a file, model, tensor or route that is not there
  unsupported,       // understood, and not built here
  corrupt,           // bytes that break their own format's promise
  io,                // the operating system said no
  out_of_budget,     // would need more memory or disk than was granted
  network,           // the other side did not answer, or refused us
  cancelled,         // the caller stopped it
  internal,          // our own mistake, caught where a request or main begins
};

/// The kind as it is spelt in JSON and in messages, e.g. "invalid_argument".
OLLM_API std::string_view to_string(ErrorKind kind);

/// What went wrong, in the caller's terms. The kind picks the exit code and the HTTP status;
/// the message is for people and grows a prefix on each floor it climbs:
/// "load qwen3: layer 12: short read at byte 4128768: 4096 of 8192 bytes".
struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::internal;  // for programs
  std::string message;                   // for people

  /// This error with "where: " put in front.
  OLLM_API Error within(std::string_view where) &&;
};

/// An Error, from its kind and its message.
OLLM_API Error fail(ErrorKind kind, std::string message);

/// A value of type T, or the Error that explains why there is none.
///
/// Thin on purpose: std::expected is C++23, and nvcc stops at C++20.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;  // as in std::expected

  /// Both are implicit, so that a function returns the value or the error as it is.
  ///@{
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit
  ///@}

  /// Whether there is a value.
  ///@{
  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  ///@}

  /// The value. Only where ok().
  ///@{
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  ///@}

  /// The error. Only where not ok().
  ///@{
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }
  ///@}

 private:
  std::variant<T, Error> state_;
};

/// Success, or the Error that explains why not.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;  // as in std::expected

  /// Success, or a failure; implicit, so that a function returns `{}` or the error as it is.
  ///@{
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit
  ///@}

  /// Whether it succeeded.
  ///@{
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  ///@}

  /// Nothing; there so that code over any Result can call it.
  void value() const {}

  /// The error. Only where not ok().
  ///@{
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }
  ///@}

 private:
  std::optional<Error> error_;
};

}  // namespace ollm

#define OLLM_CONCAT_INNER(a, b) a##b
#define OLLM_CONCAT(a, b) OLLM_CONCAT_INNER(a, b)

/// `OLLM_TRY(auto x, call());` declares x with the value of the call, or returns its error.
/// `OLLM_TRY_VOID(call());` is the same where there is no value.
#define OLLM_TRY(declaration, ...) \
  OLLM_TRY_NAMED(OLLM_CONCAT(ollm_result_, __LINE__), declaration, __VA_ARGS__)
#define OLLM_TRY_NAMED(name, declaration, ...)    \
  auto name = __VA_ARGS__;                        \
  if (!name.ok()) return std::move(name).error(); \
  declaration = std::move(name).value()
#define OLLM_TRY_VOID(...)                                                                        \
  do {                                                                                            \
    if (auto ollm_result = __VA_ARGS__; !ollm_result.ok()) return std::move(ollm_result).error(); \
  } while (false)
