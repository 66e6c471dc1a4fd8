// From logits to a token id: penalties, filters and the draw, for one sequence.
// Leaves to others: where logits come from (engine/engine.h), when to stop, and what a token reads
// as.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/sampling/cut.h"
#include "ollm/sampling/options.h"

namespace ollm::sampling {

struct TokenProbability {
  TokenId id = 0;
  double probability = 0;
};

/// The memory in which a choice is made: about 24 bytes for each id of the vocabulary. Holds
/// nothing from one choice to the next, so the sequences of one thread can share one.
class Workspace {
 public:
  explicit Workspace(std::size_t vocab_size);
  static std::uint64_t size_bytes(std::size_t vocab_size);

 private:
  friend class Sampler;
  std::vector<double> scores_;  // logits after bias and penalties; then, for the candidates that
                                // are left, their distance below the largest one, see Sampler
  std::vector<double> weights_;
  std::vector<TokenId> ids_;
  CutFinder cut_;
};

/// Chooses the tokens of one sequence. Allocates in its constructors only, but for `distribution`
/// and errors.
///
/// Steps, in the order of Transformers 5 (`GenerationMixin._get_logits_processor`); penalties and
/// bias are applied at temperature 0 too, the rest is not:
///
///   1. logit_bias           x += bias                 (there: SequenceBiasLogitsProcessor)
///   2. repetition_penalty   x = x < 0 ? x * p : x / p, once for each id that occurred
///   3. frequency_penalty,   x -= frequency * count + presence * (count > 0), OpenAI's formula.
///      presence_penalty     Transformers has none; this is where it puts a caller's processors
///   4. temperature          x /= t
///   5. top_k                keeps the k largest, and all that equal the k-th
///   6. top_p                keeps the shortest list of the most probable that reaches p; of equals
///                           at its end the lowest ids (Transformers leaves these open)
///   7. min_p                keeps what has at least min_p times the probability of the first
///   8. typical_p            keeps the shortest list that reaches the mass p, by rising distance
///                           between -log(probability) and the entropy, and all equals at its end.
///                           Meister et al., "Locally Typical Sampling", TACL 2023
///
/// Each of 5 to 8 sees probabilities that sum to 1 over what the one before has left. The draw
/// takes the first id, in rising order, at which the sum of probabilities passes a number in [0, 1)
/// that is a function of seed and position (noise.h).
///
/// Computed in double, in a fixed order, without the C library's exp: equal logits give equal
/// tokens on every machine. -infinity is a logit like others: probability 0.
///
/// One thread at a time.
class Sampler {
 public:
  /// The options must have passed `check` for this vocabulary.
  Sampler(const Options& options, std::size_t vocab_size);

  /// The same in the memory of `workspace`, which must be of this vocabulary, outlive the sampler
  /// and not be used by two threads at once.
  Sampler(const Options& options, std::size_t vocab_size, Workspace& workspace);

  /// The same in workspaces that it is lent: `use` comes before each choice where it needs one.
  struct Lent {};
  Sampler(const Options& options, std::size_t vocab_size, Lent lent);
  bool needs_workspace() const;
  void use(Workspace& workspace) { workspace_ = &workspace; }

  /// Bytes that a sampler allocates, the workspace not counted: the bias list, and 4 for each id of
  /// the vocabulary if a penalty is set.
  static std::uint64_t size_bytes(const Options& options, std::size_t vocab_size);

  /// Bytes of the workspace that the first constructor makes: 0 where the options need none.
  static std::uint64_t workspace_bytes(const Options& options, std::size_t vocab_size);

  /// A token of the prompt, for the repetition penalty. Ids (>= 0) beyond the vocabulary are passed
  /// over, as in Transformers: an embedding may have more rows than there are logits.
  void observe(TokenId prompt_token);

  /// A token that counts as new, for all penalties: chosen elsewhere (accepted from a draft, forced
  /// by a grammar), or by an earlier run that this one continues.
  void accept(TokenId new_token);

  /// The token for the absolute `position` of the sequence, and accepts it.
  /// Errors: as `choose`; nothing is accepted then.
  Result<TokenId> sample(std::span<const float> logits, std::size_t position);

  /// The same without accepting it. `logits` are the vocabulary's.
  /// Errors: corrupt if a logit is NaN or +infinity, or all are -infinity: weights are damaged, or
  /// the model overflows in this compute mode; invalid_argument if logit_bias forbids every token
  /// that the model does not.
  Result<TokenId> choose(std::span<const float> logits, std::size_t position);

  /// What `choose` draws from: ids in rising order with their probabilities, which sum to 1; at
  /// temperature 0 one token. Allocates the list. Errors: as `choose`.
  Result<std::vector<TokenProbability>> distribution(std::span<const float> logits,
                                                     std::size_t position);

 private:
  bool penalizes() const { return !occurred_.empty(); }
  Result<TokenId> choose_greedy(std::span<const float> logits, std::size_t position) const;

  // Steps 1 to 3 into the workspace; returns the largest score.
  Result<double> score(std::span<const float> logits, std::size_t position);
  // Steps 4 to 8 there; afterwards candidates_ are left, with their weights.
  void filter(double largest);
  void filter_top_k();
  void weigh();
  void filter_top_p();
  void filter_min_p();
  void filter_typical_p();
  void drop_negligible(double share, double distance_kept);
  template <typename Keep>
  void keep_if(Keep keep);
  std::span<const double> distances() const;
  std::span<const double> weights() const;

  // Constant after construction.
  Options options_;
  std::size_t vocab_size_;
  std::unique_ptr<Workspace> own_workspace_;
  Workspace* workspace_ = nullptr;  // null where the options need none

  // By id, empty without a penalty: how often it was accepted, and kInPrompt.
  std::vector<std::uint32_t> occurred_;

  std::size_t candidates_ = 0;
  double total_weight_ = 0;  // the sum of the candidates' weights, added in rising order of id
};

}  // namespace ollm::sampling
