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
void apply_yarn(const RotaryConfig& config, double dim, std::vector<float>& frequencies) {
  double low = correction_pair(config.beta_fast, dim, config);
  double high = correction_pair(config.beta_slow, dim, config);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;  // as in the source: no division by zero
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double kept = frequencies[i];
    frequencies[i] = static_cast<float>(kept / config.factor * ramp + kept * (1 - ramp));
  }
}

// Long wavelengths are divided by the factor, short ones kept, those between blended.
void apply_llama3(const RotaryConfig& config, std::vector<float>& frequencies) {
  const double positions = static_cast<double>(config.original_max_position_embeddings);
  const double longest = positions / config.low_freq_factor;
  const double shortest = positions / config.high_freq_factor;
  for (float& frequency : frequencies) {
    const double wavelength = kTwoPi / frequency;
    if (wavelength < shortest) continue;
    if (wavelength > longest) {
      frequency = static_cast<float>(frequency / config.factor);
      continue;
    }
    const double smooth = (positions / wavelength - config.low_freq_factor) /
                          (config.high_freq_factor - config.low_freq_factor);
    frequency = static_cast<float>((1 - smooth) * frequency / config.factor + smooth * frequency);
  }
}

}  // namespace

RotarySpec rotary_spec(const RotaryConfig& config, std::size_t head_dim) {
  const auto dim =
      static_cast<std::size_t>(static_cast<double>(head_dim) * config.partial_rotary_factor);
  RotarySpec spec;
  spec.inverse_frequencies.resize(dim / 2);
  for (std::size_t i = 0; i < dim / 2; ++i) {
    const double exponent = static_cast<double>(2 * i) / static_cast<double>(dim);
    spec.inverse_frequencies[i] = static_cast<float>(1.0 / std::pow(config.theta, exponent));
  }
  switch (config.type) {
    case RotaryType::default_:
      break;
    case RotaryType::linear:
      for (float& frequency : spec.inverse_frequencies)
        frequency = static_cast<float>(frequency / config.factor);
      break;
    case RotaryType::llama3:
      apply_llama3(config, spec.inverse_frequencies);
      break;
    case RotaryType::yarn:
      apply_yarn(config, static_cast<double>(dim), spec.inverse_frequencies);
      spec.magnitude = static_cast<float>(attention_factor(config));
      break;
  }
  return spec;
}

}  // namespace ollm::models
