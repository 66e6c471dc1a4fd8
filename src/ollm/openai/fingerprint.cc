#include "ollm/openai/fingerprint.h"

#include <nlohmann/json.hpp>

#include "ollm/base/sha256.h"
#include "ollm/openai/canonical.h"

namespace ollm::openai {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

std::string system_fingerprint(std::string_view runtime, const GenerateOptions& defaults) {
  const sampling::Options& sampling = defaults.sampling;
  const Json named = {{"runtime", runtime},
                      {"max_new_tokens", defaults.max_new_tokens},
                      {"temperature", sampling.temperature},
                      {"top_k", or_null(sampling.top_k)},
                      {"top_p", or_null(sampling.top_p)},
                      {"min_p", or_null(sampling.min_p)},
                      {"typical_p", or_null(sampling.typical_p)},
                      {"repetition_penalty", sampling.repetition_penalty},
                      {"presence_penalty", sampling.presence_penalty},
                      {"frequency_penalty", sampling.frequency_penalty},
                      {"ignore_eos", defaults.ignore_eos},
                      {"stop", defaults.stop}};
  constexpr std::size_t kDigits = 16;
  return "fp_" + sha256(canonical_json(named)).hex().substr(0, kDigits);
}

}  // namespace ollm::openai
