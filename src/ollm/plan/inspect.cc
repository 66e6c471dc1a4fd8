#include "ollm/plan/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "ollm/base/json_cursor.h"
#include "ollm/io/environment.h"
#include "ollm/models/families.h"
#include "ollm/plan/compose.h"

namespace ollm::plan {
namespace {

using checkpoint::ModelFolder;

// What config.json and the names of files tell, before anything is made of it.
struct Traits {
  std::optional<std::string> architecture;
  bool architecture_by_type = false;  // config.json names none
  bool built_type = false;            // its own type, or its text model's
  bool has_processor = false;
  bool has_vision = false;
  bool has_audio = false;
  bool is_encoder_decoder = false;
};

bool is_there(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && !found->is_null();
}

std::optional<std::string> if_named(std::string_view name) {
  if (name.empty()) return std::nullopt;
  return std::string(name);
}

Traits read_traits(const ModelFolder& folder, const models::Family* family) {
  const Json& config = folder.config();
  Traits out;
  out.architecture = if_named(models::architecture_of(config));
  out.built_type = family != nullptr;
  if (!out.architecture && family != nullptr) {
    out.architecture = std::string(family->architecture);
    out.architecture_by_type = true;
  }
  out.has_processor =
      folder.has_file("processor_config.json") || folder.has_file("preprocessor_config.json");
  out.has_vision = is_there(config, "vision_config");
  out.has_audio = is_there(config, "audio_config");
  const auto encoder_decoder = config.find("is_encoder_decoder");
  out.is_encoder_decoder = encoder_decoder != config.end() && encoder_decoder->is_boolean() &&
                           encoder_decoder->get<bool>();
  return out;
}

// docs/resolving.md §3, "The kind of model".
std::optional<GenericModelKind> kind_of(const Traits& traits) {
  const std::string_view architecture =
      traits.architecture ? std::string_view(*traits.architecture) : "";
  if (architecture.ends_with("ForCausalLM")) return GenericModelKind::causal_lm;
  if (architecture.ends_with("ForConditionalGeneration")) {
    if (traits.has_audio && !traits.has_vision && !traits.built_type) return std::nullopt;
    if (traits.has_vision || traits.has_processor) return GenericModelKind::image_text_to_text;
  }
  // What was saved as a base model, or with a head of rewards, is the same model before its head.
  if (traits.built_type) return GenericModelKind::causal_lm;
  if (traits.is_encoder_decoder) return GenericModelKind::seq2seq_lm;
  return std::nullopt;
}

std::string why_no_kind(const Traits& traits) {
  if (traits.has_audio) return "audio generation is not executable by the generic backend";
  if (!traits.architecture) return "the architecture is undetermined: config.json names none";
  return fmt::format("architecture {} is not executable by the generic backend",
                     printable(*traits.architecture));
}

// docs/resolving.md §3, "What it can do".
CapabilityProfile capabilities_of(const Traits& traits, const Inspection& inspection) {
  Details details;
  details.set("source", "local-path");
  if (inspection.architecture) details.set("architecture", *inspection.architecture);
  if (inspection.model_type) details.set("model_type", *inspection.model_type);

  std::vector<ModelModality> modalities = {ModelModality::text};
  if (traits.has_vision) modalities.push_back(ModelModality::image);
  if (traits.has_audio) modalities.push_back(ModelModality::audio);

  if (!inspection.generic_model_kind) {
    CapabilityProfile out = CapabilityProfile::unsupported("", true);
    out.modalities = std::move(modalities);
    out.requires_processor = traits.has_processor;
    details.set("reason", why_no_kind(traits));
    out.details = std::move(details);
    return out;
  }
  const GenericModelKind kind = *inspection.generic_model_kind;
  details.set("generic_model_kind", std::string(to_string(kind)));
  if (kind != GenericModelKind::image_text_to_text)
    return CapabilityProfile::generic({ModelModality::text}, false, false, std::move(details));
  const bool processor = traits.has_processor || traits.has_vision || traits.has_audio;
  return CapabilityProfile::generic(std::move(modalities), processor, false, std::move(details));
}

// What the generic backend makes of it is the selector's word.
std::string message_of(const std::filesystem::path& dir, const Inspection& inspection) {
  const std::string folder = fmt::format("local model directory '{}'", printable(dir.native()));
  if (!inspection.generic_model_kind)
    return fmt::format("{} is unsupported: {}", folder, *inspection.capabilities.reason());
  return fmt::format("{} holds a {} of architecture {}", folder,
                     to_string(*inspection.generic_model_kind),
                     printable(inspection.architecture.value_or("unknown")));
}

Inspection refused(const std::filesystem::path& dir, Error problem, std::string reason) {
  Inspection out;
  out.problem = std::move(problem);
  out.message =
      fmt::format("local model directory '{}' is unsupported: {}", printable(dir.native()), reason);
  out.capabilities = CapabilityProfile::unsupported(std::move(reason), true);
  return out;
}

Inspection unreadable(const std::filesystem::path& dir, Error problem) {
  std::string reason =
      fmt::format("'{}' cannot be read: {}", printable(dir.native()), problem.message);
  return refused(dir, std::move(problem), std::move(reason));
}

}  // namespace

Inspection inspect_folder(const std::filesystem::path& dir, io::SystemCalls& calls) {
  if (!io::is_directory(dir, calls)) {
    Inspection out;
    out.message = "local path does not exist";
    out.problem =
        fail(ErrorKind::not_found, fmt::format("{}: no such folder", printable(dir.native())));
    out.capabilities = CapabilityProfile::unsupported(out.message, true);
    return out;
  }
  // Without the weights first: a folder whose weights are missing or broken still tells what it is.
  auto opened = ModelFolder::open_without_weights(dir, calls);
  if (!opened.ok()) return unreadable(dir, std::move(opened).error());
  if (!opened->has_config()) {
    const auto why = ModelFolder::open(dir, calls);  // by what is there instead
    if (!why.ok()) return unreadable(dir, why.error());
    return unreadable(
        dir, fail(ErrorKind::io,
                  fmt::format("{}: its files changed while it was read", printable(dir.native()))));
  }
  ModelFolder folder = std::move(opened).value();
  const Json& config = folder.config();
  if (!config.is_object())
    return unreadable(dir, fail(ErrorKind::corrupt, "config.json: expected an object"));
  const FoundFamily found = search_family(config);
  const std::optional<std::string> model_type = if_named(models::model_type_of(config));
  if (is_there(config, "auto_map") && !found.by_type) {
    const std::string reason =
        "config.json: auto_map: the model wants to run code of its own folder, which is "
        "intentionally refused; only models whose arithmetic is built in can run";
    Inspection out = refused(dir, fail(ErrorKind::unsupported, reason), reason);
    out.requires_trust_remote_code = true;
    out.model_type = model_type;
    return out;
  }

  Inspection out;
  const Traits traits = read_traits(folder, found.family);
  out.architecture = traits.architecture;
  out.architecture_by_type = traits.architecture_by_type;
  out.model_type = model_type;
  out.built_type = traits.built_type;
  out.generic_model_kind = kind_of(traits);
  out.capabilities = capabilities_of(traits, out);
  out.message = message_of(dir, out);

  auto with_weights = ModelFolder::open(dir, calls);
  if (with_weights.ok()) {
    out.folder = std::move(with_weights).value();
  } else {
    out.problem = std::move(with_weights).error();
    out.folder = std::move(folder);
  }
  return out;
}

}  // namespace ollm::plan
