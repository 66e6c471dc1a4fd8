// How many guesses are worth their rows: from how often those before them held. Leaves to others:
// where guesses come from (prompt_lookup.h), what rows cost (plan/).
#pragma once

#include <array>
#include <cstddef>

namespace ollm::engine {

/// What the plan says of guessing.
struct SpeculationOptions {
  /// Rows of a sweep, over all lines, that reading leaves to the arithmetic, the rows of the lines
  /// themselves included: guesses fill what is left of them. Below 2 none are made.
  std::size_t free_rows = 0;
  /// Most guesses of one line.
  std::size_t most_drafts = 0;

  bool on() const { return free_rows >= 2 && most_drafts > 0; }
  /// What a row costs, in sweeps. Even one that reading leaves free waits for its attention and its
  /// logits: half of what it would cost where nothing is free.
  double row_cost() const { return 0.5 / static_cast<double>(free_rows); }
};

/// Of one line. Guesses behind a longer match hold more often, so that it keeps a share of those
/// that held for each of a few lengths; what was not tried for a while is tried again.
class DraftDepth {
 public:
  /// `row_cost`: of a row, in sweeps.
  explicit DraftDepth(double row_cost) : row_cost_(row_cost) {}

  /// The number of guesses, up to `most`, with which a sweep gives most tokens for its time, behind
  /// a match of so many tokens; 0 where a guess costs more than it brings.
  std::size_t depth(std::size_t match, std::size_t most);
  /// Of so many guesses behind such a match the first `accepted` held.
  void judge(std::size_t match, std::size_t drafts, std::size_t accepted);

 private:
  static std::size_t length_class(std::size_t match);

  const double row_cost_;
  std::array<double, 5> held_{0.3, 0.45, 0.6, 0.75, 0.85};  // shares, by length_class
};

}  // namespace ollm::engine
