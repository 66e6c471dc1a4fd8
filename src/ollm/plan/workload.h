// What a run will be asked to do: the sizes that a plan is made for.
#pragma once

#include <cstddef>

namespace ollm {

/// Tokens of one sequence, and how many sequences.
struct Workload {
  std::size_t prompt_tokens = 0;   // before the first new one
  std::size_t max_new_tokens = 0;  // at most
  std::size_t sequences = 1;       // at once, each with that many tokens
  bool all_logits = false;         // of every position (score), not of the last alone
  /// Tokens that one sequence may come to hold; 0: prompt_tokens + max_new_tokens.
  std::size_t context_tokens = 0;
};

}  // namespace ollm
