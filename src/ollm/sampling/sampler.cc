// The steps of a choice over arrays of the vocabulary's size; candidates stay in rising order of
// id. Leaves to others: finding where a filter cuts (sampling_cut.cc), the noise
// (noise.h).
#include "ollm/sampling/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ollm/base/check.h"
#include "ollm/base/exp.h"
#include "ollm/sampling/logits_check.h"
#include "ollm/sampling/noise.h"

namespace ollm::sampling {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// In occurred_: the token stands in the prompt. The bits below count new ones.
constexpr std::uint32_t kInPrompt = std::uint32_t{1} << 31;

bool has_penalty(const Options& options) {
  return options.repetition_penalty != 1 || options.presence_penalty != 0 ||
         options.frequency_penalty != 0;
}

// Greedy choices from bare logits are made in place.
bool needs_workspace(const Options& options) {
  return !options.greedy() || has_penalty(options) || !options.logit_bias.empty();
}

// The first of the largest; the size if all are -infinity.
template <typename T>
std::size_t first_largest(std::span<const T> values) {
  std::size_t best = values.size();
  T largest = -std::numeric_limits<T>::infinity();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] > largest) {
      largest = values[i];
      best = i;
    }
  }
  return best;
}

// In four lanes, so that a comparison need not wait for the one before.
double largest_of(std::span<const double> values) {
  double lanes[4] = {-kInfinity, -kInfinity, -kInfinity, -kInfinity};
  std::size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
    }
  }
  for (; i < values.size(); ++i) lanes[0] = values[i] > lanes[0] ? values[i] : lanes[0];
  return std::max(std::max(lanes[0], lanes[1]), std::max(lanes[2], lanes[3]));
}

}  // namespace

Workspace::Workspace(std::size_t vocab_size)
    : scores_(vocab_size), weights_(vocab_size), ids_(vocab_size), cut_(vocab_size) {}

std::uint64_t Workspace::size_bytes(std::size_t vocab_size) {
  return std::uint64_t{vocab_size} * (2 * sizeof(double) + sizeof(TokenId)) +
         CutFinder::size_bytes(vocab_size);
}

Sampler::Sampler(const Options& options, std::size_t vocab_size)
    : options_(options), vocab_size_(vocab_size) {
  OLLM_CHECK(check(options, vocab_size).ok());
  if (has_penalty(options)) occurred_.resize(vocab_size);
  if (sampling::needs_workspace(options)) {
    own_workspace_ = std::make_unique<Workspace>(vocab_size);
    workspace_ = own_workspace_.get();
  }
}

Sampler::Sampler(const Options& options, std::size_t vocab_size, Workspace& workspace)
    : options_(options), vocab_size_(vocab_size), workspace_(&workspace) {
  OLLM_CHECK(check(options, vocab_size).ok());
  OLLM_CHECK(workspace.ids_.size() == vocab_size);
  if (has_penalty(options)) occurred_.resize(vocab_size);
}

Sampler::Sampler(const Options& options, std::size_t vocab_size, Lent)
    : options_(options), vocab_size_(vocab_size) {
  OLLM_CHECK(check(options, vocab_size).ok());
  if (has_penalty(options)) occurred_.resize(vocab_size);
}

bool Sampler::needs_workspace() const { return sampling::needs_workspace(options_); }

std::uint64_t Sampler::size_bytes(const Options& options, std::size_t vocab_size) {
  const std::uint64_t bias = options.logit_bias.size() * sizeof(options.logit_bias[0]);
  return bias + (has_penalty(options) ? std::uint64_t{vocab_size} * sizeof(std::uint32_t) : 0);
}

std::uint64_t Sampler::workspace_bytes(const Options& options, std::size_t vocab_size) {
  return sampling::needs_workspace(options) ? Workspace::size_bytes(vocab_size) : 0;
}

void Sampler::observe(TokenId prompt_token) {
  OLLM_CHECK(prompt_token >= 0);
  const auto id = static_cast<std::size_t>(prompt_token);
  if (id < occurred_.size()) occurred_[id] |= kInPrompt;
}

void Sampler::accept(TokenId new_token) {
  OLLM_CHECK(new_token >= 0);
  const auto id = static_cast<std::size_t>(new_token);
  // Stops at the limit: longer than any sequence.
  if (id < occurred_.size() && (occurred_[id] & ~kInPrompt) < ~kInPrompt) ++occurred_[id];
}

Result<TokenId> Sampler::sample(std::span<const float> logits, std::size_t position) {
  Result<TokenId> chosen = choose(logits, position);
  if (chosen.ok()) accept(*chosen);
  return chosen;
}

Result<TokenId> Sampler::choose(std::span<const float> logits, std::size_t position) {
  OLLM_CHECK(logits.size() == vocab_size_);
  if (!needs_workspace()) return choose_greedy(logits, position);
  OLLM_TRY(const double largest, score(logits, position));
  if (options_.greedy()) {
    return static_cast<TokenId>(first_largest(std::span<const double>(workspace_->scores_)));
  }
  filter(largest);

  // The total was added in the order of this walk, and uniform() is at most 1 - 2^-53, so the
  // target is below the last sum even after rounding; and a candidate of weight 0 is never the
  // first to pass it.
  const double target = uniform(options_.seed, position, NoisePurpose::token) * total_weight_;
  const std::span<const double> weight = weights();
  double sum = 0;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    sum += weight[i];
    if (sum > target) {
      chosen = i;
      break;
    }
  }
  return workspace_->ids_[chosen];
}

Result<std::vector<TokenProbability>> Sampler::distribution(std::span<const float> logits,
                                                            std::size_t position) {
  std::vector<TokenProbability> kept;
  if (options_.greedy()) {
    OLLM_TRY(const TokenId id, choose(logits, position));
    kept.push_back({id, 1});
    return kept;
  }
  OLLM_CHECK(logits.size() == vocab_size_);
  OLLM_TRY(const double largest, score(logits, position));
  filter(largest);
  const double total = total_weight_;
  kept.reserve(candidates_);
  for (std::size_t i = 0; i < candidates_; ++i) {
    kept.push_back({workspace_->ids_[i], weights()[i] / total});
  }
  return kept;
}

Result<TokenId> Sampler::choose_greedy(std::span<const float> logits, std::size_t position) const {
  OLLM_TRY_VOID(check_logits(logits, position));
  return static_cast<TokenId>(first_largest(logits));
}

Result<double> Sampler::score(std::span<const float> logits, std::size_t position) {
  OLLM_TRY_VOID(check_logits(logits, position));
  std::vector<double>& scores = workspace_->scores_;
  for (std::size_t i = 0; i < vocab_size_; ++i) scores[i] = logits[i];

  for (const auto& [id, bias] : options_.logit_bias) scores[static_cast<std::size_t>(id)] += bias;
  if (penalizes()) {
    for (std::size_t i = 0; i < vocab_size_; ++i) {
      if (occurred_[i] == 0) continue;
      double x = scores[i];
      x = x < 0 ? x * options_.repetition_penalty : x / options_.repetition_penalty;
      if (const std::uint32_t count = occurred_[i] & ~kInPrompt; count > 0) {
        x -= options_.frequency_penalty * count + options_.presence_penalty;
      }
      scores[i] = x;
    }
  }

  const double largest = largest_of(scores);
  if (largest == -kInfinity) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("logits at position {}: logit_bias forbids every token", position));
  }
  return largest;
}

void Sampler::filter(double largest) {
  Workspace& work = *workspace_;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < vocab_size_; ++i) {
    const double x = work.scores_[i];
    work.scores_[kept] = (largest - x) / options_.temperature;
    work.ids_[kept] = static_cast<TokenId>(i);
    kept += x > -kInfinity ? 1 : 0;
  }
  candidates_ = kept;

  filter_top_k();
  weigh();
  filter_top_p();
  filter_min_p();
  filter_typical_p();
}

void Sampler::filter_top_k() {
  if (!options_.top_k || *options_.top_k >= candidates_) return;
  Workspace& work = *workspace_;
  const Cut cut = work.cut_.find(distances(), 0, {}, static_cast<double>(*options_.top_k));
  std::size_t kept = 0;
  for (std::size_t i = 0; i < candidates_; ++i) {
    const double distance = work.scores_[i];
    work.scores_[kept] = distance;
    work.ids_[kept] = work.ids_[i];
    kept += distance <= cut.distance ? 1 : 0;
  }
  candidates_ = kept;
}

// exp((x - largest) / t): the total is between 1 and the vocabulary's size, so weights need no
// normalization, and the filters compare with shares of their total.
void Sampler::weigh() {
  Workspace& work = *workspace_;
  double total = 0;
  for (std::size_t i = 0; i < candidates_; ++i) {
    work.weights_[i] = exp_negative(work.scores_[i]);
    total += work.weights_[i];
  }
  total_weight_ = total;
}

void Sampler::filter_top_p() {
  if (!options_.top_p || *options_.top_p == 1) return;
  const double target = *options_.top_p * total_weight_;
  drop_negligible(*options_.top_p, 0);
  Cut cut = workspace_->cut_.find(distances(), 0, weights(), target);
  keep_if([&](double distance, double) {
    // Without branches: which candidates stay is a toss for the processor's prediction.
    const bool tied = distance == cut.distance;
    const bool stays = (distance < cut.distance) | (tied & (cut.ties > 0));
    cut.ties -= tied & stays;
    return stays;
  });
}

void Sampler::filter_min_p() {
  if (!options_.min_p || *options_.min_p == 0) return;
  // The largest weight is 1: neither top_k nor top_p takes the first candidate away.
  keep_if([&](double, double weight) { return weight >= *options_.min_p; });
}

void Sampler::filter_typical_p() {
  if (!options_.typical_p || *options_.typical_p == 1) return;
  // With the weights w = exp(-d) and their total W, -log p = d + log W, and the entropy is the mean
  // of that; so their difference is d less the mean of d.
  double sum = 0;
  for (std::size_t i = 0; i < candidates_; ++i) {
    sum += weights()[i] * distances()[i];  // distances are finite: see kSamplingFactorMin
  }
  const double mean = sum / total_weight_;
  const double target = *options_.typical_p * total_weight_;
  drop_negligible(*options_.typical_p, 2 * mean);
  const Cut cut = workspace_->cut_.find(distances(), mean, weights(), target);
  keep_if([&](double distance, double) { return std::abs(distance - mean) <= cut.distance; });
}

// Drops candidates that no walk towards the mass `share` reaches, so that the cut is sought among
// few. All whose weight is below (1 - share) / count of the total have less than 1 - share
// together; so a walk that meets them after all others ends before. By rising distance it does; by
// rising |distance - mean| it does for those beyond 2 * mean, which are farther off than any nearer
// one. Half of that weight leaves room for rounding.
void Sampler::drop_negligible(double share, double distance_kept) {
  const double least = 0.5 * (1 - share) * total_weight_ / static_cast<double>(candidates_);
  keep_if([&](double distance, double weight) {
    // Without branches, as in filter_top_p.
    const auto heavy = static_cast<unsigned>(weight >= least);
    return (heavy | static_cast<unsigned>(distance <= distance_kept)) != 0;
  });
}

template <typename Keep>
void Sampler::keep_if(Keep keep) {
  Workspace& work = *workspace_;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < candidates_; ++i) {
    const double distance = work.scores_[i];
    const double weight = work.weights_[i];
    work.scores_[kept] = distance;
    work.weights_[kept] = weight;
    work.ids_[kept] = work.ids_[i];
    kept += keep(distance, weight) ? 1 : 0;
  }
  candidates_ = kept;
  total_weight_ = 0;
  for (const double weight : weights()) total_weight_ += weight;
}

std::span<const double> Sampler::distances() const {
  return {workspace_->scores_.data(), candidates_};
}

std::span<const double> Sampler::weights() const {
  return {workspace_->weights_.data(), candidates_};
}

}  // namespace ollm::sampling
