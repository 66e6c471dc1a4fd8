// Any keys over a small config.json, of any family: refused by a key's name, or a composition whose
// parts stand on its tape. Leaves to others: any bytes as JSON (config_fuzz.cc), tensors and runs
// (model_fuzz.cc).
// links: ollm_models nlohmann_json::nlohmann_json
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/base/json_reader.h"
#include "ollm/models/blocks/routing.h"
#include "ollm/models/composition_text.h"
#include "ollm/models/families.h"

namespace {

using ollm::Json;
using namespace ollm::models;

// Ten thousand layers, or a quarter of a million experts, are a config, and a second of composing.
constexpr double kLayers = 64;
constexpr double kExperts = 256;
constexpr const char* kExpertKeys[] = {"num_experts", "num_local_experts", "moe_num_experts",
                                       "n_routed_experts"};

Json small_config(const Family& family) {
  Json out = Json::parse(R"({"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
      "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 8,
      "max_position_embeddings": 64})");
  out["model_type"] = family.model_type;
  return out;
}

void hold_mixture(const Composition& composition, const MixtureSpec& mixture) {
  const RouterSpec& router = mixture.router;
  const ollm::weights::ExpertsUse& use = composition.tape.experts[mixture.experts.index];
  OLLM_CHECK(composition.tape.matrices[router.products.weight.index].held);
  OLLM_CHECK(router.products.out == use.experts && mixture.inner >= 1);
  OLLM_CHECK(router.chosen >= 1 && router.chosen <= use.experts);
  OLLM_CHECK(use.experts % router.groups == 0 && router.chosen_groups <= router.groups);
  OLLM_CHECK(router.chosen_groups * (use.experts / router.groups) >= router.chosen);
  OLLM_CHECK(!use.forms.empty());
  for (const ollm::weights::ExpertsForm& form : use.forms) {
    for (const ollm::weights::ExpertMatrix& matrix : form.matrices) {
      OLLM_CHECK(matrix.tensors.size() == 1 || matrix.tensors.size() == use.experts);
      OLLM_CHECK(matrix.scales.empty() || matrix.scales.size() == matrix.tensors.size());
    }
  }
  for (const auto& bias : {router.correction, mixture.gate_up_bias, mixture.down_bias})
    OLLM_CHECK(!bias || bias->index < composition.tape.vectors.size());
  // What it chooses of any products, finite or not.
  std::vector<float> products(use.experts);
  for (std::size_t i = 0; i < products.size(); ++i)
    products[i] = i % 7 == 3 ? 1e30F : static_cast<float>(i * 37 % 11) - 5;
  std::vector<float> scratch(routing_floats(router));
  std::vector<std::uint32_t> ids(router.chosen);
  std::vector<float> weights(router.chosen);
  route(router, products.data(), nullptr, scratch, ids.data(), weights.data());
  for (std::size_t i = 0; i < ids.size(); ++i)
    OLLM_CHECK(ids[i] < use.experts && (i == 0 || ids[i - 1] < ids[i]));
}

void hold(const FamilyModel& model) {
  const Composition& composition = model.composition;
  const ModelConfig& config = model.config;
  OLLM_CHECK(config.windows.size() == config.num_hidden_layers);
  OLLM_CHECK(config.rotated.size() == config.num_hidden_layers);
  OLLM_CHECK(composition.layers.size() == config.num_hidden_layers);
  OLLM_CHECK(composition.max_positions >= 1);
  for (const LayerSpec& layer : composition.layers) {
    const AttentionSpec* mixer = attention_of(layer);
    OLLM_CHECK(mixer != nullptr && mixer->heads % mixer->kv_heads == 0);
    OLLM_CHECK(mixer->q.weight.index < composition.tape.matrices.size());
    if (const MixtureSpec* mixture = mixture_of(layer)) hold_mixture(composition, *mixture);
    OLLM_CHECK(!mixer->rotary || *mixer->rotary < composition.rotaries.size());
  }
  for (const RotarySpec& rotary : composition.rotaries) {
    OLLM_CHECK(2 * rotary.inverse_frequencies.size() <= config.head_dim);
    for (const float frequency : rotary.inverse_frequencies)
      OLLM_CHECK(frequency >= 0 && frequency <= 1e7F);
  }
  OLLM_CHECK(!composition_text(composition).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Family& family = *families()[data[0] % families().size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto keys = ollm::parse_json(text, "config.json");
  if (!keys.ok() || !keys->is_object()) return 0;
  Json document = small_config(family);
  document.update(*keys);
  const auto many = [&](const char* key, double most) {
    const auto found = document.find(key);
    return found != document.end() && found->is_number() && found->get<double>() > most &&
           found->get<double>() < 1e6;
  };
  if (many("num_hidden_layers", kLayers)) return 0;
  for (const char* key : kExpertKeys)
    if (many(key, kExperts)) return 0;
  const auto object = ollm::checkpoint::ConfigObject::make(document, "config.json");
  OLLM_CHECK(object.ok());
  const auto model = compose_family(family, *object);
  if (model.ok()) {
    hold(*model);
  } else {
    OLLM_CHECK(model.error().message.starts_with("config.json: "));
  }
  return 0;
}
