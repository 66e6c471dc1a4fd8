// What the settings say of an answer, as options of a call.
#include "ollm/ollm.h"

namespace ollm {

GenerateOptions generate_options(const Settings& settings) {
  const settings::GenerationSettings& config = settings.generation;
  GenerateOptions options;
  options.max_new_tokens = static_cast<std::size_t>(config.max_new_tokens);
  options.ignore_eos = config.ignore_eos;
  options.stop = config.stop;
  sampling::Options& sampling = options.sampling;
  const bool filtered = config.top_p || config.top_k || config.min_p || config.typical_p;
  sampling.temperature =
      filtered && !settings.given("generation.temperature") ? 1 : config.temperature;
  if (config.top_k) sampling.top_k = static_cast<std::size_t>(*config.top_k);
  sampling.top_p = config.top_p;
  sampling.min_p = config.min_p;
  sampling.typical_p = config.typical_p;
  sampling.repetition_penalty = config.repetition_penalty.value_or(1);
  sampling.presence_penalty = config.presence_penalty.value_or(0);
  sampling.frequency_penalty = config.frequency_penalty.value_or(0);
  sampling.seed = static_cast<std::uint64_t>(config.seed.value_or(0));
  return options;
}

}  // namespace ollm
