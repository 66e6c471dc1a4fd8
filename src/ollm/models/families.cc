#include "ollm/models/families.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "ollm/models/config_keys.h"
#include "ollm/models/model_types.h"

namespace ollm::models {
namespace {

constexpr std::array kFamilies{
    &kLlama,      &kCohere,     &kCohere2,  &kErnie45,   &kExaone4,    &kGemma,     &kGemma2,
    &kGemma3,     &kGlm,        &kGlm4,     &kGranite,   &kMinistral3, &kMistral,   &kOlmo2,
    &kOlmo3,      &kPhi3,       &kQwen2,    &kQwen3,     &kSeedOss,    &kSmolLm3,   &kStableLm,
    &kStarcoder2, &kErnie45Moe, &kGlm4Moe,  &kGptOss,    &kGraniteMoe, &kMiniMaxM2, &kMixtral,
    &kPhiMoe,     &kQwen2Moe,   &kQwen3Moe, &kQwen3Next, &kQwen35,     &kQwen35Moe};

std::string_view text_of(const Json& value) {
  return value.is_string() ? std::string_view(value.get_ref<const std::string&>())
                           : std::string_view();
}

}  // namespace

std::string_view model_type_of(const Json& config) {
  const auto type = config.find("model_type");
  return type == config.end() ? std::string_view() : text_of(*type);
}

std::string_view architecture_of(const Json& config) {
  const auto names = config.find("architectures");
  if (names == config.end() || !names->is_array() || names->empty()) return {};
  return text_of(names->front());
}

std::span<const Family* const> families() { return kFamilies; }

const Family* find_family(std::string_view model_type) {
  for (const Family* family : kFamilies)
    if (family->model_type == model_type) return family;
  return nullptr;
}

const Family* find_family_of_architecture(std::string_view architecture) {
  for (const Family* family : kFamilies)
    if (family->architecture == architecture) return family;
  return nullptr;
}

const Family* find_family_of_config(const Json& config) {
  const std::string_view type = model_type_of(config);
  if (const Family* family = find_family(type)) return family;
  if (why_not_built(type)) return nullptr;
  return find_family_of_architecture(architecture_of(config));
}

Result<FamilyModel> compose_family(const Family& family, const checkpoint::ConfigObject& config) {
  OLLM_TRY(FamilyModel model, family.compose(config));
  UnreadKeys unread = sort_unread(config);
  model.config.keys_without_effect = std::move(unread.of_other_types);
  model.config.unknown_keys = std::move(unread.unknown);
  return model;
}

}  // namespace ollm::models
