// How the next token of a sequence is chosen, as numbers that a request brings, and their limits;
// and how likely tokens were found, as numbers that it gets.
// Leaves to others: the choice itself (sampler.h), the likelihoods (log_probs.h), flags and JSON
// names (cli/, openai/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/token_id.h"

namespace ollm::sampling {

/// Limits of what is multiplied or divided by. Within them nothing that a choice computes from
/// finite f32 logits leaves the normal range of a double, so no overflow, and no thread that takes
/// denormals as zero, can change a token. `top_p > 0` of the literature is at least the lower one.
///@{
inline constexpr double kSamplingFactorMin = 1e-100;
inline constexpr double kSamplingFactorMax = 1e100;
///@}

/// The default is greedy: the token with the largest logit, no penalty, no bias.
///
/// The filters (top_k, top_p, min_p, typical_p) shape a distribution that is drawn from, so they
/// have no effect at temperature 0; the penalties and logit_bias have, as in Transformers, where
/// they are also applied without `do_sample`. Fields of generation_config.json of the same name
/// mean the same, except that Transformers writes "keep all" as top_k = 0 where we leave it out.
struct Options {
  double temperature = 0;            // 0: greedy, ties to the lowest id; or 1e-100 to 1e100
  std::optional<std::size_t> top_k;  // >= 1; more than the vocabulary keeps all
  std::optional<double> top_p;       // 1e-100 to 1; 1 keeps all
  std::optional<double> min_p;       // 0, or 1e-100 to 1; 0 keeps all
  std::optional<double> typical_p;   // 1e-100 to 1; 1 keeps all

  /// 1e-100 to 1e100; 1 changes nothing. Over the tokens of the prompt and the new ones.
  double repetition_penalty = 1;

  /// -2 to 2, OpenAI's range; 0 changes nothing. Over the new tokens only: OpenAI documents the
  /// count as "how often that token was sampled prior to the current position".
  ///@{
  double presence_penalty = 0;
  double frequency_penalty = 0;
  ///@}

  /// Added to the logits before all else. Finite, or -infinity, which forbids the token. An id that
  /// stands here twice gets both biases.
  std::vector<std::pair<TokenId, float>> logit_bias;

  /// With the position all that the noise depends on.
  std::uint64_t seed = 0;

  /// Whether nothing is drawn.
  bool greedy() const { return temperature == 0; }
};

/// How likely the model found a token at some position.
struct TokenLogProb {
  TokenId id = 0;       // of the vocabulary
  double log_prob = 0;  // natural logarithm, at most 0; -infinity for what cannot come

  friend bool operator==(const TokenLogProb&, const TokenLogProb&) = default;
};

/// How likely it found the token that came, and those that it found likeliest.
struct TokenLogProbs {
  double log_prob = 0;            // of the one that came
  std::vector<TokenLogProb> top;  // the likeliest first, of equals the lowest id

  friend bool operator==(const TokenLogProbs&, const TokenLogProbs&) = default;
};

/// Whether every field is within its limits for logits over `vocab_size` ids.
/// Errors: invalid_argument, with the field, its value and the limit, for the first that is not.
OLLM_API Result<void> check(const Options& options, std::size_t vocab_size);

}  // namespace ollm::sampling
