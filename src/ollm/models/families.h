// The families that are built: each one file (models/<family>.cc) and a line in families.cc. What
// of config.json a family reads, with which defaults, stands in its file and nowhere else. Leaves
// to others: whether a plan takes a family or a composition by structure (plan/).
#pragma once

#include <span>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/checkpoint/config_object.h"
#include "ollm/models/family_model.h"

namespace ollm::models {

struct Family {
  std::string_view name;              // "llama"
  std::string_view provider_id = {};  // "llama-native": who vouches; empty: nobody
  std::string_view model_type;        // config.json: model_type
  std::string_view architecture;      // the class of Transformers: "LlamaForCausalLM"

  /// From the config alone; the tensors are held against the composition afterwards.
  /// Errors: corrupt, unsupported for a key's value, by its name.
  Result<FamilyModel> (*compose)(const checkpoint::ConfigObject& config);
};

/// config.json: model_type, and the first of architectures; empty where absent or not text. Both
/// borrow the config.
std::string_view model_type_of(const Json& config);
std::string_view architecture_of(const Json& config);

/// In the order in which providers are asked.
std::span<const Family* const> families();

/// By config.json: model_type, or nullptr.
const Family* find_family(std::string_view model_type);
/// By config.json: architectures, for files without a model_type; or nullptr.
const Family* find_family_of_architecture(std::string_view architecture);
/// The family that config.json says: by its type, and where it names none that anybody knows, by
/// its architecture.
const Family* find_family_of_config(const Json& config);

/// family.compose, with the keys that it did not read sorted into the config: those without effect,
/// and those that nobody knows.
Result<FamilyModel> compose_family(const Family& family, const checkpoint::ConfigObject& config);

extern const Family kErnie45Moe, kGlm4Moe, kGptOss, kGraniteMoe, kMiniMaxM2, kMixtral, kPhiMoe,
    kQwen2Moe, kQwen3Moe, kQwen3Next, kQwen35, kQwen35Moe;
extern const Family kCohere, kCohere2, kErnie45, kExaone4, kGemma, kGemma2, kGemma3, kGlm, kGlm4,
    kGranite, kLlama, kMinistral3, kMistral, kOlmo2, kOlmo3, kPhi3, kQwen2, kQwen3, kSeedOss,
    kSmolLm3, kStableLm, kStarcoder2;

}  // namespace ollm::models
