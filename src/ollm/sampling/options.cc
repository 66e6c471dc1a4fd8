// The limits of Options, and what is said where one is passed.
// Leaves to others: what the options do (sampler.cc).
#include "ollm/sampling/options.h"

#include <fmt/format.h>

#include <limits>
#include <string_view>

namespace ollm::sampling {
namespace {

// The bounds that OpenAI's API documents for both penalties.
constexpr double kPenaltyMax = 2;

// Comparisons are written so that NaN fails them.
bool is_factor(double value) { return value >= kSamplingFactorMin && value <= kSamplingFactorMax; }
bool is_share(double value) { return value >= kSamplingFactorMin && value <= 1; }
bool is_penalty(double value) { return value >= -kPenaltyMax && value <= kPenaltyMax; }

Error out_of_range(std::string_view field, double value, std::string_view limit) {
  return fail(ErrorKind::invalid_argument,
              fmt::format("{} is {}: it must be {}", field, value, limit));
}

Result<void> check_bias(const Options& options, std::size_t vocab_size) {
  for (const auto& [id, bias] : options.logit_bias) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocab_size) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("logit_bias names token {}: ids are 0 to {}", id, vocab_size - 1));
    }
    if (!(bias < std::numeric_limits<float>::infinity())) {
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("logit_bias of token {} is {}: it must be finite, or -inf to forbid it", id,
                      bias));
    }
  }
  return {};
}

}  // namespace

Result<void> check(const Options& options, std::size_t vocab_size) {
  constexpr auto kIdMax = static_cast<std::size_t>(std::numeric_limits<TokenId>::max());
  if (vocab_size == 0 || vocab_size > kIdMax) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("vocab_size is {}: it must be 1 to {}", vocab_size, kIdMax));
  }
  if (options.temperature != 0 && !is_factor(options.temperature)) {
    return out_of_range("temperature", options.temperature, "0 (greedy), or 1e-100 to 1e100");
  }
  if (options.top_k == std::size_t{0}) {
    return fail(ErrorKind::invalid_argument,
                "top_k is 0: it must be 1 or above; leave it out to keep all tokens");
  }
  if (options.top_p && !is_share(*options.top_p)) {
    return out_of_range("top_p", *options.top_p, "1e-100 to 1");
  }
  if (options.min_p && *options.min_p != 0 && !is_share(*options.min_p)) {
    return out_of_range("min_p", *options.min_p, "0, or 1e-100 to 1");
  }
  if (options.typical_p && !is_share(*options.typical_p)) {
    return out_of_range("typical_p", *options.typical_p, "1e-100 to 1");
  }
  if (!is_factor(options.repetition_penalty)) {
    return out_of_range("repetition_penalty", options.repetition_penalty, "1e-100 to 1e100");
  }
  if (!is_penalty(options.presence_penalty)) {
    return out_of_range("presence_penalty", options.presence_penalty, "-2 to 2");
  }
  if (!is_penalty(options.frequency_penalty)) {
    return out_of_range("frequency_penalty", options.frequency_penalty, "-2 to 2");
  }
  return check_bias(options, vocab_size);
}

}  // namespace ollm::sampling
