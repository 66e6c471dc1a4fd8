// A regular expression of a tokenizer: Oniguruma's syntax and meaning, matched by PCRE2.
// Leaves the translation of syntax to oniguruma.h, and what a match is for to pattern.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/text_span.h"

namespace ollm::text {

/// What a pattern of a stranger may use.
struct RegexLimits {
  static constexpr std::size_t kJitStackBytes = std::size_t{1} << 20;
  static constexpr std::size_t kHeapBytes = std::size_t{64} << 20;
  static constexpr std::size_t kNesting = 250;  // brackets inside each other
  /// PCRE2 counts a step for each backtracking point, so an honest pattern needs a few per byte:
  /// the constant covers short texts, the factor a dozen alternatives that each run over the same
  /// stretch.
  static constexpr std::uint64_t kSteps = 1'000'000;
  static constexpr std::uint64_t kStepsPerByte = 64;
};

/// What matching needs besides the pattern: one per thread that matches, for any number of
/// patterns. Allocates when first used.
class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(RegexScratch&&) noexcept;
  RegexScratch& operator=(RegexScratch&&) noexcept;

  struct State;
  State& state();

 private:
  std::unique_ptr<State> state_;
};

/// A compiled pattern, constant after make: any number of threads may match at once, each with its
/// own scratch.
class Regex {
 public:
  /// Compiles a pattern in Oniguruma's syntax. Errors: corrupt, unsupported; the message quotes it.
  static Result<Regex> make(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// Finds the next match at or behind byte `from` of `text` (valid UTF-8); false where there is
  /// none. The work is bounded by a limit proportional to the text, and memory by 64 MiB.
  /// Errors: unsupported where a limit was met, which says that the pattern backtracks too much.
  Result<bool> find(std::string_view text, std::size_t from, RegexScratch& scratch,
                    TextSpan& match) const;

  std::size_t memory_bytes() const;

 private:
  struct Code;
  Regex(std::unique_ptr<Code> code, std::string pattern);

  std::unique_ptr<Code> code_;
  std::string pattern_;
};

}  // namespace ollm::text
