// What Split and Replace look for, a plain string or a regular expression, and the matches one by
// one. Leaves compiling expressions to regex.h and what becomes of the pieces to who asks.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "ollm/base/result.h"
#include "ollm/text/regex.h"
#include "ollm/text/text_span.h"

namespace ollm::text {

/// A plain string, or a regular expression.
class Pattern {
 public:
  explicit Pattern(std::string plain) : what_(std::move(plain)) {}
  explicit Pattern(Regex regex) : what_(std::move(regex)) {}

  /// The plain string, where the pattern is one.
  const std::string* plain() const { return std::get_if<std::string>(&what_); }
  std::size_t memory_bytes() const;

 private:
  friend class Matches;
  std::variant<std::string, Regex> what_;
};

/// The matches of a pattern in a text, from left to right, none overlapping another.
///
/// An empty match right behind the match before it does not count, and the search goes on one
/// character further, as Oniguruma's own iteration has it.
class Matches {
 public:
  Matches(const Pattern& pattern, std::string_view text, RegexScratch& scratch)
      : pattern_(pattern), text_(text), scratch_(scratch) {}

  /// The next match; false behind the last. Errors: those of Regex::find.
  Result<bool> next(TextSpan& match);

 private:
  const Pattern& pattern_;
  std::string_view text_;
  RegexScratch& scratch_;
  std::size_t from_ = 0;
  std::optional<std::size_t> last_end_;
};

}  // namespace ollm::text
