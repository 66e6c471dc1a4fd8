// What a run will be asked to do: the sizes that a plan is made for.
#pragma once

#include <cstddef>

namespace ollm {

/// Tokens of one sequence, and how many sequences; what texts the caller brings and holds.
struct Workload {
  std::size_t prompt_tokens = 0;   // before the first new one
  std::size_t max_new_tokens = 0;  // at most
  std::size_t sequences = 1;       // at once, each with that many tokens; 1 to 65536
  bool all_logits = false;         // of every position (score), not of the last alone
  /// Tokens that one sequence may come to hold; 0: prompt_tokens + max_new_tokens.
  std::size_t context_tokens = 0;
  /// Bytes of text that the caller renders and encodes before it loads the model, and then holds as
  /// ids; 0: none. Texts that a session is given afterwards are bounded by the context instead.
  std::size_t text_bytes = 0;
  /// Tokens of all rows together that a score is given; 0: those of the sequences.
  std::size_t total_tokens = 0;
  /// Bytes that the caller holds beside those ids, and that a score makes of them: names and lists
  /// of rows, the entries of a file of logits.
  std::size_t caller_bytes = 0;
};

}  // namespace ollm
