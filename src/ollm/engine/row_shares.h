// How many rows of the next sweep each line gets: a pure function, so that what it promises can be
// tested. Leaves to others: which lines run, and in which order they come (scheduler.h).
#pragma once

#include <cstddef>
#include <span>

namespace ollm::engine {

/// What one line could use of the next sweep, and what it gets.
struct RowShare {
  std::size_t pending = 0;      // tokens that are to be computed
  std::size_t first_logit = 0;  // of them the first whose logits are wanted
  bool may_draft = false;       // whether guessed tokens may stand behind the last one
  std::size_t rows = 0;         // that it gets, of `pending`
  std::size_t draft_rows = 0;   // that it may fill with guesses
};

/// What one sweep holds.
struct SweepRoom {
  std::size_t rows = 1;
  std::size_t logit_rows = 1;  // whose logits are computed
  std::size_t draft_rows = 0;  // of all lines together
};

/// Shares out the rows, lines in order of preference. Every line with tokens to compute gets one
/// row at least, if the sweep has as many rows and logits as there are lines: none waits for
/// another, however long that one's prompt is. What is left goes first to guesses, evenly, as rows
/// that decode are what people wait for; then to the lines in their order, each as much as it can
/// use.
void share_rows(std::span<RowShare> lines, const SweepRoom& room);

}  // namespace ollm::engine
