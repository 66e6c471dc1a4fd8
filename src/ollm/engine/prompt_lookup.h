// Guesses of what comes next in a line, from what came before in it: a text that quotes, edits or
// repeats itself goes on as it did the last time. Leaves to others: how many guesses pay
// (draft_depth.h), whether they hold (scheduler.h).
//
// Source: Saxena, "Prompt Lookup Decoding", 2023; here with the longest suffix, not the first n.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ollm/base/token_id.h"

namespace ollm::engine {

/// Where three tokens in a row stood before, for one line.
class PromptLookup {
 public:
  /// Tokens in a row that must be equal.
  static constexpr std::size_t kLeastMatch = 3;
  /// Tokens of the line that are found; those behind are passed over.
  static constexpr std::size_t kMostTokens = std::size_t{1} << 31;

  /// For lines of so many tokens; allocates size_bytes of it, and nothing later.
  explicit PromptLookup(std::size_t most_tokens);
  static std::uint64_t size_bytes(std::size_t most_tokens);

  /// Takes in the tokens of the line that it does not know yet. The line only grows.
  void follow(std::span<const TokenId> line);

  /// The place of the line at which its longest suffix stood before (of equals the latest), and how
  /// many tokens that is. Of all places the 32 latest with the same last three tokens are looked
  /// at, and 64 tokens of each. All of the line must have been followed.
  struct Match {
    std::size_t next = 0;    // position of the token that came behind it
    std::size_t tokens = 0;  // that are equal before it
  };
  std::optional<Match> find(std::span<const TokenId> line) const;

 private:
  std::size_t bucket(std::span<const TokenId> line, std::size_t end) const;

  std::size_t most_tokens_;
  std::size_t known_ = 0;
  // Positions behind three tokens, 0 where there is none: the latest of each bucket, and of each
  // position the one before it in its bucket.
  std::vector<std::uint32_t> latest_;  // a power of two
  std::vector<std::uint32_t> before_;
};

}  // namespace ollm::engine
