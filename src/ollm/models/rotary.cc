#include "ollm/models/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ollm::models {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

// How much attention is sharpened when positions are squeezed by `scale`.
double yarn_magnitude(double scale, double mscale) {
  return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

double attention_factor(const RotaryConfig& config) {
  if (config.attention_factor) return *config.attention_factor;
  const double mscale = config.mscale.value_or(0);
  const double mscale_all_dim = config.mscale_all_dim.value_or(0);
  if (mscale != 0 && mscale_all_dim != 0)
    return yarn_magnitude(config.factor, mscale) / yarn_magnitude(config.factor, mscale_all_dim);
  return yarn_magnitude(config.factor, 1.0);
}

// The pair that turns `rotations` times within the original positions.
double correction_pair(double rotations, double dim, const RotaryConfig& config) {
  const double positions = static_cast<double>(config.original_max_position_embeddings);
  return dim * std::log(positions / (rotations * kTwoPi)) / (2 * std::log(config.theta));
}

// Slow pairs are divided by the factor, fast ones kept, those between blended.
std::vector<float> yarn(const RotaryConfig& config, double dim, const std::vector<float>& powers) {
  double low = correction_pair(config.beta_fast, dim, config);
  double high = correction_pair(config.beta_slow, dim, config);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;  // as in the source: no division by zero
  std::vector<float> frequencies;
  for (std::size_t i = 0; i < powers.size(); ++i) {
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0F,
        1.0F);
    const float kept = 1 - ramp;
    const float divided = 1 / (static_cast<float>(config.factor) * powers[i]);
    frequencies.push_back(divided * (1 - kept) + 1 / powers[i] * kept);
  }
  return frequencies;
}

std::vector<float> divided(const std::vector<float>& powers, const std::vector<double>& factors) {
  std::vector<float> frequencies;
  for (std::size_t i = 0; i < powers.size(); ++i)
    frequencies.push_back(1 / (static_cast<float>(factors[i]) * powers[i]));
  return frequencies;
}

double longrope_magnitude(const RotaryConfig& config) {
  if (config.attention_factor) return *config.attention_factor;
  if (config.factor <= 1) return 1;
  const auto original = static_cast<double>(config.original_max_position_embeddings);
  return std::sqrt(1 + std::log(config.factor) / std::log(original));
}

// Long wavelengths are divided by the factor, short ones kept, those between blended. A number
// over a tensor is the tensor's reciprocal times that number there, rounded twice.
void apply_llama3(const RotaryConfig& config, std::vector<float>& frequencies) {
  const double positions = static_cast<double>(config.original_max_position_embeddings);
  const auto longest = static_cast<float>(positions / config.low_freq_factor);
  const auto shortest = static_cast<float>(positions / config.high_freq_factor);
  const auto low = static_cast<float>(config.low_freq_factor);
  const auto width = static_cast<float>(config.high_freq_factor - config.low_freq_factor);
  const auto factor = static_cast<float>(config.factor);
  for (float& frequency : frequencies) {
    const float wavelength = 1 / frequency * static_cast<float>(kTwoPi);
    if (wavelength < shortest) continue;
    if (wavelength > longest) {
      frequency = frequency / factor;
      continue;
    }
    const float smooth = (1 / wavelength * static_cast<float>(positions) - low) / width;
    frequency = (1 - smooth) * frequency / factor + smooth * frequency;
  }
}

}  // namespace

RotarySpec rotary_spec(const RotaryConfig& config, std::size_t head_dim) {
  const std::size_t dim = rotary_size(config, head_dim);
  // Each step is rounded to f32 as in Transformers: where two pairs' frequencies differ in the last
  // place, their angles differ visibly at long positions.
  std::vector<float> powers;
  for (std::size_t i = 0; i < dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    const auto base = static_cast<double>(static_cast<float>(config.theta));
    powers.push_back(static_cast<float>(std::pow(base, static_cast<double>(exponent))));
  }
  RotarySpec spec;
  for (const float power : powers) spec.inverse_frequencies.push_back(1 / power);
  switch (config.type) {
    case RotaryType::default_:
    case RotaryType::dynamic:  // within the model's length, and no run goes beyond it
      break;
    case RotaryType::linear:
      for (float& frequency : spec.inverse_frequencies)
        frequency = frequency / static_cast<float>(config.factor);
      break;
    case RotaryType::llama3:
      apply_llama3(config, spec.inverse_frequencies);
      break;
    case RotaryType::yarn:
      spec.inverse_frequencies = yarn(config, static_cast<double>(dim), powers);
      spec.magnitude = static_cast<float>(attention_factor(config));
      break;
    case RotaryType::longrope:
      spec.inverse_frequencies = divided(powers, config.short_factor);
      spec.beyond = {
          config.original_max_position_embeddings, divided(powers, config.long_factor), {}};
      spec.magnitude = static_cast<float>(config.short_mscale.value_or(longrope_magnitude(config)));
      if (config.long_mscale) spec.beyond->magnitude = static_cast<float>(*config.long_mscale);
      break;
  }
  return spec;
}

}  // namespace ollm::models
