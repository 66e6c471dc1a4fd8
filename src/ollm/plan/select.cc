#include "ollm/plan/select.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/models/families.h"
#include "ollm/models/model_types.h"
#include "ollm/plan/compose.h"

namespace ollm::plan {
namespace {

// The family whose blocks a provider runs, or nullptr where they are not built.
const models::Family* built_family(const Provider& provider) {
  for (const models::Family* family : models::families())
    if (family->provider_id == provider.id) return family;
  return nullptr;
}

class Selector {
 public:
  Selector(const Resolution& resolution, const settings::RuntimeConfig& config,
           const SelectOptions& options)
      : resolution_(resolution),
        config_(config),
        options_(options),
        passes_(with_settings(options.passes, config)) {
    PlanDraft& plan = out_.plan;
    plan.resolved_model = resolution.model;
    if (resolution.materialized) plan.model_path = resolution.model.model_path;
    plan.generic_model_kind = resolution.model.generic_model_kind;
    plan.details.set("source_kind", std::string(to_string(resolution.model.source_kind)));
  }

  Result<Selection> select() {
    OLLM_TRY(const Provider* provider, match());
    if (!resolution_.materialized) return not_there(provider);
    if (auto why = type_not_built(provider)) return refuse(provider, *std::move(why));
    if (resolution_.inspection->problem) return refuse(provider, *resolution_.inspection->problem);
    if (passes_.accelerator) {
      return refuse(provider, fail(ErrorKind::unsupported,
                                   fmt::format("device '{}' is not built; this build computes on "
                                               "cpu",
                                               config_.device)));
    }
    if (provider != nullptr) return specialized(*provider);
    if (config_.backend == kOptimizedNative) return override_failure();
    return generic();
  }

  Result<Selection> fall_back(const PlanDraft& failed, SpecializationErrorType type,
                              const Error& error) {
    if (const auto why = why_no_fallback(failed, config_.backend.has_value(),
                                         config_.offload_cpu_layers, config_.offload_gpu_layers)) {
      return fail(error.kind, fmt::format("{}; no fallback: {}", error.message, *why));
    }
    auto composed = compose_generic();
    if (!composed.ok()) {
      const std::string& again = composed.error().message;
      return fail(error.kind,
                  fmt::format("{}; no fallback: {}: {}", error.message, kNativeGeneric,
                              again == error.message ? "needs the same of the model" : again));
    }
    out_.plan = to_fallback(failed, type, error.message);
    accept(*std::move(composed));
    out_.plan = with_generic_passes(std::move(out_.plan), passes_, &out_.decisions);
    return std::move(out_);
  }

 private:
  // The provider that takes the model; nullptr where none does, or none is to be asked. Of a model
  // of the catalog that is not on disk the family alone is known.
  Result<const Provider*> match() const {
    const bool asked =
        config_.backend ? *config_.backend == kOptimizedNative : config_.use_specialization;
    const ResolvedModel& model = resolution_.model;
    if (!asked || config_.adapter_dir || !model.native_family) return nullptr;
    const Provider* found = nullptr;
    std::vector<std::string_view> ids;
    for (const Provider& provider : options_.providers.value_or(plan::providers())) {
      if (provider.family != *model.native_family) continue;
      if (resolution_.materialized) {
        if (!takes(provider)) continue;
      } else if (model.catalog_entry == nullptr) {
        continue;
      }
      found = &provider;
      ids.push_back(provider.id);
    }
    if (ids.size() > 1) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("'{}' is ambiguous: {} take it", printable(model.reference.raw),
                              fmt::join(ids, ", ")));
    }
    return found;
  }

  // By the architecture, unless the model's type is that of a family of somebody else's.
  bool takes(const Provider& provider) const {
    const auto& known = provider.architectures;
    const std::optional<std::string>& name = resolution_.model.architecture;
    if (!name || std::find(known.begin(), known.end(), *name) == known.end()) return false;
    const auto& inspection = resolution_.inspection;
    if (!inspection || !inspection->folder || built_family(provider) == nullptr) return true;
    const models::Family* family = models::find_family_of_config(inspection->folder->config());
    return family == nullptr || family->provider_id == provider.id;
  }

  // Before anything else is held against the folder: a type that is known and not built is what it
  // comes down to. A provider whose blocks are to come says so itself.
  std::optional<Error> type_not_built(const Provider* provider) const {
    const auto& inspection = *resolution_.inspection;
    if (provider != nullptr || !inspection.model_type || inspection.built_type) return std::nullopt;
    const bool composes = inspection.generic_model_kind == GenericModelKind::causal_lm;
    if (!composes && !inspection.requires_trust_remote_code) return std::nullopt;
    const auto why = models::why_not_built(*inspection.model_type);
    if (!why) return std::nullopt;
    return fail(ErrorKind::unsupported, printable(*why));
  }

  void note_override() {
    if (config_.backend) out_.plan.details.set("backend_override", *config_.backend);
  }

  void decide(std::string_view what, std::string_view chosen, std::string_view because) {
    out_.decisions.push_back({std::string(what), std::string(chosen), std::string(because)});
  }

  // A plan that cannot execute, with its reason.
  Selection refuse(const Provider* provider, Error error) {
    PlanDraft& plan = out_.plan;
    error.message = printable(error.message);  // some name what stands in files
    if (provider != nullptr) plan.specialization_provider_id = provider->id;
    plan.support_level = SupportLevel::unsupported;
    plan.reason = error.message;
    note_override();
    decide("backend", "none", plan.reason);
    out_.refusal = std::move(error);
    return std::move(out_);
  }

  Selection not_there(const Provider* provider) {
    const ResolvedModel& model = resolution_.model;
    const CatalogEntry* entry = model.catalog_entry;
    if (entry != nullptr) out_.plan.details.set("materialized", "false");
    std::string message = model.resolution_message;
    if (entry != nullptr) message += "; it is not on this machine";
    if (entry != nullptr && provider != nullptr && built_family(*provider) == nullptr)
      message += fmt::format("; {} is not built yet", provider->id);
    // What stands under a path in place of a folder is all that there is to say.
    if (model.reference.local_path && resolution_.problem)
      return refuse(provider, *resolution_.problem);
    if (!resolution_.problem) message += how_to_get(resolution_);
    Error error = fail(ErrorKind::not_found, message);
    if (resolution_.problem) {
      error = fail(resolution_.problem->kind,
                   fmt::format("{}; {}", message, resolution_.problem->message));
    }
    Selection out = refuse(provider, error);
    if (entry != nullptr && (provider == nullptr || built_family(*provider) != nullptr))
      out.plan.support_level = model.capabilities.support_level;
    // The plan has no paths that a person did not ask for; the error says where was looked.
    error.message += where_it_was_looked_for(resolution_);
    out.refusal = std::move(error);
    return out;
  }

  Selection override_failure() {
    Error error = fail(ErrorKind::unsupported,
                       fmt::format("override not available for '{}': no provider of "
                                   "{} takes it",
                                   printable(resolution_.model.reference.raw), kOptimizedNative));
    if (config_.adapter_dir) error.message += "; adapters run on the generic backend alone";
    Selection out = refuse(nullptr, std::move(error));
    out.plan.support_level = resolution_.model.capabilities.support_level;
    return out;
  }

  Selection specialized(const Provider& provider) {
    const models::Family* family = built_family(provider);
    if (family == nullptr) {
      return refuse(&provider,
                    fail(ErrorKind::unsupported,
                         fmt::format("{} takes '{}' (family {}), and it is not built yet",
                                     provider.id, printable(resolution_.model.reference.raw),
                                     to_string(provider.family))));
    }
    auto folder = FolderModel::read(*resolution_.inspection, options_.allowances);
    if (!folder.ok()) return refuse(&provider, std::move(folder).error());
    plan_specialization(provider);
    auto composed = folder->as_family();
    if (composed.ok()) {
      note_override();
      decide("backend", kOptimizedNative, out_.plan.reason);
      accept(*std::move(composed));
      return std::move(out_);
    }
    return after_mismatch(provider, composed.error());
  }

  // The provider's inventory does not match: the generic backend where it may and can.
  Selection after_mismatch(const Provider& provider, const Error& mismatch) {
    const PlanDraft planned = out_.plan;
    auto taken = fall_back(planned, SpecializationErrorType::load_error, mismatch);
    if (taken.ok()) {
      Selection selection = *std::move(taken);
      decide_first(selection, "backend", kNativeGeneric, selection.plan.reason);
      return selection;
    }
    PlanDraft& plan = out_.plan;
    plan.backend_id.reset();
    plan.specialization_enabled = false;
    plan.specialization_state = SpecializationState::not_planned;
    plan.specialization_pass_ids.clear();
    plan.supports_disk_cache = plan.supports_cpu_offload = plan.supports_gpu_offload = false;
    plan.details = {};
    plan.details.set("source_kind", std::string(to_string(resolution_.model.source_kind)));
    out_.decisions.clear();
    return refuse(&provider, composition_refusal(taken.error()));
  }

  Selection generic() {
    const std::string why = why_generic();
    const auto refused = [&](Error error) {
      if (!why.empty()) error.message = fmt::format("{}; {}", why, error.message);
      return refuse(nullptr, std::move(error));
    };
    if (config_.adapter_dir)
      return refused(fail(ErrorKind::unsupported, "adapters are not built yet"));
    auto composed = compose_generic();
    if (!composed.ok()) return refused(composition_refusal(std::move(composed).error()));
    PlanDraft& plan = out_.plan;
    plan.backend_id = kNativeGeneric;
    plan.support_level = SupportLevel::generic;
    plan.details.set("generic_model_kind", std::string(to_string(*plan.generic_model_kind)));
    note_override();
    const std::string raw = printable(resolution_.model.reference.raw);
    plan.reason = why.empty() ? fmt::format("{} runs '{}'", kNativeGeneric, raw)
                              : fmt::format("{}; {} runs '{}'", why, kNativeGeneric, raw);
    plan.reason +=
        fmt::format(", a {} of architecture {} composed {}", to_string(*plan.generic_model_kind),
                    printable(resolution_.model.architecture.value_or("unknown")),
                    composed->model.config.family.empty()
                        ? "from its config and tensors"
                        : fmt::format("as family {}", composed->model.config.family));
    decide("backend", kNativeGeneric, plan.reason);
    plan = with_generic_passes(std::move(plan), passes_, &out_.decisions);
    accept(*std::move(composed));
    return std::move(out_);
  }

  // Why no provider was asked; empty where none took the model.
  std::string why_generic() const {
    if (config_.backend) return fmt::format("{} was asked for", kNativeGeneric);
    if (!config_.use_specialization) return "specialization is disabled";
    return {};
  }

  void plan_specialization(const Provider& provider) {
    PlanDraft& plan = out_.plan;
    const ResolvedModel& model = resolution_.model;
    const std::vector<PlannedPass> planned =
        plan_passes({provider.id, &model, config_.multimodal}, passes_);
    for (const PlannedPass& pass : planned) {
      plan.specialization_pass_ids.push_back(pass.id);
      decide(fmt::format("pass.{}", to_string(pass.id)), "planned", pass.because);
    }
    const PassTraits traits = traits_of(plan.specialization_pass_ids);
    plan.backend_id = kOptimizedNative;
    plan.support_level = SupportLevel::optimized;
    plan.supports_disk_cache = traits.supports_disk_cache;
    plan.supports_cpu_offload = traits.supports_cpu_offload;
    plan.supports_gpu_offload = traits.supports_gpu_offload;
    plan.specialization_enabled = true;
    plan.specialization_provider_id = provider.id;
    plan.specialization_state = SpecializationState::planned;
    plan.reason = fmt::format("{} runs '{}' as family {}", provider.id,
                              printable(model.reference.raw), to_string(provider.family));

    // The order of docs/resolving.md §6.
    Details& details = plan.details;
    const std::string_view device = config_.device_type();
    details.set("specialization_provider_id", std::string(provider.id));
    details.set("native_family", std::string(to_string(provider.family)));
    details.set("specialization_pass_ids", comma_list(plan.specialization_pass_ids));
    details.set("offload_cpu_requested_layers", fmt::format("{}", config_.offload_cpu_layers));
    details.set("offload_cpu_policy", config_.offload_cpu_policy);
    details.set("offload_gpu_layers", fmt::format("{}", config_.offload_gpu_layers));
    details.set("execution_device_type", std::string(device));
    details.set("specialization_device_profile", device == "cpu" ? "host" : "accelerator-resident");
    details.merge(pipeline_details(provider.id, planned, passes_));
    details.set("architecture", model.architecture.value_or(""));
  }

  Result<Composed> compose_generic() const {
    const ResolvedModel& model = resolution_.model;
    if (!model.generic_model_kind) {
      const std::string* reason = resolution_.inspection->capabilities.reason();
      return fail(ErrorKind::unsupported, reason != nullptr ? *reason : model.resolution_message);
    }
    if (*model.generic_model_kind != GenericModelKind::causal_lm &&
        !resolution_.inspection->built_type) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{} composes a {} alone; {} is a {}", kNativeGeneric,
                              to_string(GenericModelKind::causal_lm),
                              printable(model.architecture.value_or("the model")),
                              to_string(*model.generic_model_kind)));
    }
    OLLM_TRY(const FolderModel folder,
             FolderModel::read(*resolution_.inspection, options_.allowances));
    return folder.compose();
  }

  // A tensor that is not there is no file that is not there.
  static Error composition_refusal(Error error) {
    if (error.kind == ErrorKind::not_found) error.kind = ErrorKind::unsupported;
    return error;
  }

  static void decide_first(Selection& selection, std::string_view what, std::string_view chosen,
                           std::string_view because) {
    selection.decisions.insert(
        selection.decisions.begin(),
        Decision{std::string(what), std::string(chosen), std::string(because)});
  }

  void accept(Composed composed) {
    for (const Decision& decision : resolution_.decisions) out_.decisions.push_back(decision);
    for (const checkpoint::FolderNote& note : resolution_.inspection->folder->notes())
      decide(note.what, note.chosen, note.because);
    for (Decision& decision : composed.decisions) out_.decisions.push_back(std::move(decision));
    out_.config = std::move(composed.model.config);
    out_.composition = std::move(composed.model.composition);
  }

  const Resolution& resolution_;
  const settings::RuntimeConfig& config_;
  const SelectOptions& options_;
  PassConditions passes_;
  Selection out_;
};

}  // namespace

Result<Selection> select_backend(const Resolution& resolution,
                                 const settings::RuntimeConfig& config,
                                 const SelectOptions& options) {
  return Selector(resolution, config, options).select();
}

Result<Selection> fall_back(const PlanDraft& failed, const Resolution& resolution,
                            const settings::RuntimeConfig& config, const SelectOptions& options,
                            SpecializationErrorType type, const Error& error) {
  return Selector(resolution, config, options).fall_back(failed, type, error);
}

}  // namespace ollm::plan
