#include "ollm/plan/compose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/models/config_keys.h"
#include "ollm/models/generic.h"
#include "ollm/models/model_types.h"
#include "ollm/models/tensor_binding.h"

namespace ollm::plan {
namespace {

using checkpoint::ConfigObject;
using checkpoint::TensorInfo;

// Ends of the names of what quantized formats keep beside or in place of a weight.
constexpr std::string_view kQuantized[] = {
    "_scale",         "_scale_inv",  "_scales",        ".scales", ".qweight", ".qzeros",
    ".g_idx",         ".absmax",     ".quant_map",     "_packed", "_blocks",  ".quant_state",
    ".weight_format", "_zero_point", ".nested_absmax", ".SCB"};

// Those of them that MXFP4 keeps, in bytes (models/tensor_binding.h).
constexpr std::string_view kMxfp4Parts[] = {"_blocks", "_scales", ".weight_packed",
                                            ".weight_scale"};

bool ends_with_any(std::string_view name, std::span<const std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

const Json* text_config(const Json& config) {
  const auto found = config.find("text_config");
  return found != config.end() && found->is_object() ? &*found : nullptr;
}

// Names as patterns, so that one line stands for a tower of a thousand tensors: "vision_tower.*".
std::string groups_of(const std::vector<std::string>& names) {
  std::vector<std::string> groups;
  for (const std::string& name : names) {
    std::string group = name.substr(0, name.find('.')) + ".*";
    if (std::find(groups.begin(), groups.end(), group) == groups.end())
      groups.push_back(std::move(group));
  }
  constexpr std::size_t kShown = 8;
  const std::size_t count = groups.size();
  groups.resize(std::min(count, kShown));
  std::string text = fmt::format("{}", fmt::join(groups, ", "));
  if (count > kShown) text += fmt::format(" and {} more", count - kShown);
  return printable(text);
}

}  // namespace

FoundFamily search_family(const Json& config) {
  const Json* inner = text_config(config);
  const models::Family* of_text =
      inner == nullptr ? nullptr : models::find_family(models::model_type_of(*inner));
  FoundFamily out;
  out.family = models::find_family_of_config(config);
  out.by_type = of_text != nullptr || models::find_family(models::model_type_of(config)) != nullptr;
  if (out.family == nullptr && of_text != nullptr) {
    out.family = of_text;
    out.text_config = inner;
  }
  return out;
}

Result<FolderModel> FolderModel::read(const Inspection& inspection, const Allowances& allowances) {
  FolderModel out(*inspection.folder);
  out.allowances_ = allowances;
  OLLM_TRY_VOID(out.take_config(inspection));
  OLLM_TRY_VOID(out.look_at_quantization());
  OLLM_TRY(out.names_, models::TensorNames::make(out.folder_->tensors()));
  if (out.family_ == nullptr) return out;
  OLLM_TRY(
      const ConfigObject config,
      ConfigObject::make(out.config_, out.text_part_ ? "config.json: text_config" : "config.json"));
  if (!out.text_part_) config.ignore("text_config");
  config.ignore("quantization_config");
  OLLM_TRY(models::FamilyModel model, models::compose_family(*out.family_, config));
  const std::vector<std::string>& keys = model.config.keys_without_effect;
  if (!keys.empty()) {
    out.decide("config.without_effect", fmt::format("{}", fmt::join(keys, ", ")),
               fmt::format("model type '{}' does not read {}", out.family_->model_type,
                           keys.size() == 1 ? "it" : "them"));
  }
  const auto refused = models::refused_keys(model.config.unknown_keys, allowances.config_keys);
  out.model_ = std::move(model);
  if (!refused.empty()) return models::not_understood(refused, out.compose().ok());
  return out;
}

Result<void> FolderModel::take_config(const Inspection& inspection) {
  const Json& config = folder_->config();
  const FoundFamily found = search_family(config);
  family_ = found.family;
  text_part_ = found.text_config != nullptr;
  config_ = text_part_ ? *found.text_config : config;
  const std::string_view type = models::model_type_of(config);
  if (text_part_) {
    // Whether the head is the embedding is said by the whole model, or by the text model where the
    // whole one writes its default: a false beside a true counts for nothing.
    if (const auto tied = config.find("tie_word_embeddings");
        tied != config.end() && !tied->is_null() &&
        (*tied != Json(false) || !config_.contains("tie_word_embeddings")))
      config_["tie_word_embeddings"] = *tied;
    decide("modality", "text",
           fmt::format("model type '{}' is not built; its text model is a '{}' and runs alone",
                       printable(type), family_->model_type));
  }
  if (family_ == nullptr) {
    if (const auto why = models::why_not_built(type))
      return fail(ErrorKind::unsupported, printable(*why));
  }
  if (family_ != nullptr && !text_part_ && !type.empty() && type != family_->model_type) {
    decide("semantics", "assumed",
           fmt::format("model type '{}' is not known; its architecture is {}", type,
                       family_->architecture));
  }
  if (inspection.architecture_by_type) {
    decide("architecture", inspection.architecture.value_or(""),
           fmt::format("config.json says model type '{}'", printable(type)));
  }
  const auto code = config.find("auto_map");
  if (family_ != nullptr && code != config.end() && !code->is_null()) {
    decide("config.auto_map", "ignored",
           fmt::format("model type '{}' is built in; no code of the folder is run",
                       family_->model_type));
  }
  return {};
}

// What is left in config.json when weights were widened again says nothing of them.
Result<void> FolderModel::look_at_quantization() {
  const Json& config = folder_->config();
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return {};
  bool packed = false;
  for (const TensorInfo& tensor : folder_->tensors().tensors()) {
    const std::string_view name = tensor.name;
    if (models::holds_built_weights(tensor) && !ends_with_any(name, kQuantized)) continue;
    if (tensor.dtype == DType::u8 && ends_with_any(name, kMxfp4Parts)) {
      packed = true;
      continue;
    }
    return fail(ErrorKind::unsupported,
                printable(fmt::format(
                    "config.json: quantization_config: quantized weights other than MXFP4 are not "
                    "built (tensor {}, {}); use the model's F32, F16 or BF16 form",
                    name, to_string(tensor.dtype))));
  }
  if (packed) {
    decide("config.quantization_config", "mxfp4",
           "packed weights are read as they are stored; their tensors say which they are");
    return {};
  }
  decide("config.quantization_config", "ignored",
         "all tensors are F32, F16 or BF16, without scales or packed words");
  return {};
}

Result<Composed> FolderModel::as_family() const { return bind(*model_, decisions_); }

Result<Composed> FolderModel::by_tensors() const {
  std::vector<Decision> decisions = decisions_;
  const std::string type = printable(models::model_type_of(config_));
  if (model_) {
    OLLM_TRY(models::FamilyModel model, models::compose_by_tensors(model_->config, names_));
    decisions.push_back({"semantics", "assumed",
                         fmt::format("its tensors are not those of model type '{}'", type)});
    return bind(std::move(model), std::move(decisions));
  }
  OLLM_TRY(const ConfigObject config, ConfigObject::make(config_, "config.json"));
  config.ignore("quantization_config");
  OLLM_TRY(models::FamilyModel model, models::compose_generic(config, names_));
  const auto refused = models::refused_keys(model.config.unknown_keys, allowances_.config_keys);
  decisions.push_back(
      {"semantics", "assumed",
       fmt::format("model type '{}' is not known; its tensors are those of one that is", type)});
  auto bound = bind(std::move(model), std::move(decisions));
  if (!refused.empty()) return models::not_understood(refused, bound.ok());
  return bound;
}

Result<Composed> FolderModel::compose() const {
  if (!model_) return by_tensors();
  auto composed = as_family();
  if (composed.ok()) return composed;
  auto other = by_tensors();
  return other.ok() ? std::move(other) : std::move(composed);
}

Result<Composed> FolderModel::bind(models::FamilyModel model,
                                   std::vector<Decision> decisions) const {
  Composed out{std::move(model), std::move(decisions)};
  OLLM_TRY(
      const models::Inventory left,
      models::bind_tensors(names_, {allowances_.unused_tensors, out.model.config.guessing_heads},
                           out.model.composition));
  const auto decide = [&](std::string what, std::string chosen, std::string because) {
    out.decisions.push_back({std::move(what), std::move(chosen), std::move(because)});
  };
  for (const std::string& key : out.model.config.unknown_keys)
    decide("config.allow_key", printable(key),
           "config.json has it, it is not understood for this model type, and it was allowed");
  for (const std::string& what : names_.taken_off()) {
    decide("weights.names", what.empty() ? "without model." : printable(what) + "*",
           what.empty()
               ? "the base model was saved alone; its names go on as if model. stood before"
               : "names were wrapped; they are read as if it was not there");
  }
  if (!left.of_other_models.empty())
    decide("weights.unused", groups_of(left.of_other_models), "the text model runs alone");
  if (!left.left_by_trainers.empty())
    decide("weights.unused", groups_of(left.left_by_trainers),
           "trainers leave it behind; no logits come from it");
  if (!left.guessing_heads.empty())
    decide("weights.unused", groups_of(left.guessing_heads),
           "heads that guess further tokens; answers do not depend on them");
  if (!left.allowed.empty())
    decide("weights.unused", groups_of(left.allowed), "nothing uses them, and it was allowed");
  return out;
}

void FolderModel::decide(std::string what, std::string chosen, std::string because) {
  decisions_.push_back({std::move(what), printable(chosen), std::move(because)});
}

}  // namespace ollm::plan
