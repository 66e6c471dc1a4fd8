// Any keys over a small config.json, of any family: refused by a key's name, or a composition whose
// parts stand on its tape. Leaves to others: any bytes as JSON (config_fuzz.cc), tensors and runs
// (model_fuzz.cc).
// links: ollm_models nlohmann_json::nlohmann_json
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/base/json_reader.h"
#include "ollm/models/composition_text.h"
#include "ollm/models/families.h"

namespace {

using ollm::Json;
using namespace ollm::models;

// Ten thousand layers are a config, and a second of composing.
constexpr std::size_t kLayers = 64;

Json small_config(const Family& family) {
  Json out = Json::parse(R"({"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
      "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 8,
      "max_position_embeddings": 64})");
  out["model_type"] = family.model_type;
  return out;
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
  const Json& layers = document["num_hidden_layers"];
  if (layers.is_number() && layers.get<double>() > static_cast<double>(kLayers)) return 0;
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
