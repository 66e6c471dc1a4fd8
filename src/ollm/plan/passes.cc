#include "ollm/plan/passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/kv/strategies.h"

namespace ollm::plan {
namespace {

using Id = SpecializationPassId;
using Why = std::optional<std::string>;

constexpr std::string_view kAdaptiveMode = "adaptive-headroom";
constexpr std::string_view kExplicitMode = "explicit-rows";

bool is_one_of(std::string_view id, std::initializer_list<std::string_view> ids) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool takes(const PassSubject& subject, ModelModality modality) {
  const auto& modalities = subject.model->capabilities.modalities;
  return std::find(modalities.begin(), modalities.end(), modality) != modalities.end();
}

// Whether each pass applies to a provider's model.

Why disk_cache(const PassSubject&, const PassConditions& conditions) {
  if (!conditions.kv_on_disk) return std::nullopt;
  return conditions.prefix_reuse ? "keys and values are stored on disk"
                                 : "keys and values that memory cannot hold go to disk";
}

Why cpu_offload(const PassSubject&, const PassConditions& conditions) {
  if (!conditions.accelerator) return std::nullopt;
  return "layers may be kept on the CPU beside the accelerator";
}

Why gpu_offload(const PassSubject& subject, const PassConditions& conditions) {
  if (!conditions.accelerator || subject.provider_id != "qwen3-next-native") return std::nullopt;
  return "layers may be kept on the accelerator";
}

Why mlp_chunking(const PassSubject& subject, const PassConditions& conditions) {
  if (!is_one_of(subject.provider_id, {"llama-native", "gemma3-native", "voxtral-native"}) ||
      conditions.mlp_chunk_rows == 0)
    return std::nullopt;
  return fmt::format(
      "the feed-forward's intermediate exceeds its share of the budget: pieces of "
      "{} rows",
      conditions.mlp_chunk_rows);
}

Why moe_routing(const PassSubject& subject, const PassConditions& conditions) {
  if (!conditions.mixture &&
      !is_one_of(subject.provider_id, {"qwen3-next-native", "gpt-oss-native"}))
    return std::nullopt;
  return "the model is a mixture of experts";
}

Why attention_replacement(const PassSubject& subject, const PassConditions&) {
  if (subject.provider_id != "gpt-oss-native") return std::nullopt;
  return "the family has attention of its own";
}

Why multimodal_shell(const PassSubject& subject, const PassConditions&) {
  if (!subject.multimodal) return std::nullopt;
  if (subject.provider_id == "gemma3-native" && takes(subject, ModelModality::image))
    return "images were asked for, and the model takes them";
  if (subject.provider_id == "voxtral-native" && takes(subject, ModelModality::audio))
    return "audio was asked for, and the model takes it";
  return std::nullopt;
}

Why gds_export_weights(const PassSubject&, const PassConditions&) {
  return std::nullopt;  // weights are read as they were published
}

Why weight_streaming(const PassSubject&, const PassConditions& conditions) {
  if (!conditions.weights_streamed) return std::nullopt;
  return "some weights do not stay in memory and are read in each sweep";
}

Why weight_pinning(const PassSubject&, const PassConditions& conditions) {
  if (!conditions.weights_pinned) return std::nullopt;
  return conditions.weights_streamed ? "some weights stay in memory" : "all weights stay in memory";
}

Why chunked_prefill(const PassSubject&, const PassConditions& conditions) {
  if (conditions.prefill_chunk_tokens == 0 ||
      conditions.prompt_tokens <= conditions.prefill_chunk_tokens)
    return std::nullopt;
  return fmt::format("a prompt of {} tokens goes through in chunks of {}", conditions.prompt_tokens,
                     conditions.prefill_chunk_tokens);
}

Why prefix_reuse(const PassSubject&, const PassConditions& conditions) {
  if (!conditions.kv_on_disk || !conditions.prefix_reuse) return std::nullopt;
  return "stored prefixes may be used again";
}

Why speculative_decoding(const PassSubject&, const PassConditions& conditions) {
  if (conditions.draft_rows == 0) return std::nullopt;
  return fmt::format("what the line repeats is guessed, up to {} tokens a sweep",
                     conditions.draft_rows);
}

Why expert_cache(const PassSubject&, const PassConditions& conditions) {
  if (!conditions.expert_cache) return std::nullopt;
  return "experts are read from disk behind a cache";
}

constexpr PassTraits kDisk{.supports_disk_cache = true};
constexpr PassTraits kCpu{.supports_cpu_offload = true};
constexpr PassTraits kGpu{.supports_gpu_offload = true};
constexpr bool kBuilt = true;
constexpr bool kNotBuilt = false;

// A pass is turned on here when its work exists.
constexpr std::array kPasses{
    PassKind{Id::disk_cache, kBuilt, kDisk, "disk-backed keys and values", disk_cache},
    PassKind{Id::cpu_offload, kNotBuilt, kCpu, "layers on the CPU beside an accelerator",
             cpu_offload},
    PassKind{Id::gpu_offload, kNotBuilt, kGpu, "layers placed on an accelerator", gpu_offload},
    PassKind{Id::mlp_chunking, kBuilt, {}, "feed-forward in pieces of rows", mlp_chunking},
    PassKind{Id::moe_routing, kBuilt, {}, "routing and loading of experts", moe_routing},
    PassKind{
        Id::attention_replacement, kBuilt, {}, "attention of the family", attention_replacement},
    PassKind{Id::multimodal_shell, kNotBuilt, {}, "images and audio beside text", multimodal_shell},
    PassKind{Id::gds_export_weights,
             kNotBuilt,
             {},
             "weights from a validated export",
             gds_export_weights},
    PassKind{Id::weight_streaming, kBuilt, {}, "weights read in each sweep", weight_streaming},
    PassKind{Id::weight_pinning, kBuilt, {}, "weights kept in memory", weight_pinning},
    PassKind{Id::chunked_prefill, kBuilt, {}, "prompts in chunks", chunked_prefill},
    PassKind{Id::prefix_reuse, kBuilt, {}, "stored prefixes used again", prefix_reuse},
    PassKind{Id::speculative_decoding,
             kBuilt,
             {},
             "draft tokens verified together",
             speculative_decoding},
    PassKind{Id::expert_cache, kBuilt, {}, "experts behind a cache", expert_cache},
};

SpecializationFailure failure_of(const PlanDraft& plan, SpecializationErrorType type) {
  SpecializationFailure out;
  out.type = type;
  out.provider_id = plan.specialization_provider_id.value_or("no provider");
  out.planned_pass_ids = plan.specialization_pass_ids;
  if (plan.backend_id == kNativeGeneric) {
    out.provider_id = kNativeGeneric;
    out.planned_pass_ids = plan.generic_pass_ids;
  }
  return out;
}

// What a pass asks for and did not get; nothing where its contract holds.
Why not_kept(Id id, const LoadedArtifacts& artifacts) {
  switch (id) {
    case Id::disk_cache:
      if (artifacts.supports_disk_cache) return std::nullopt;
      return "what was loaded keeps no keys and values on disk";
    case Id::cpu_offload:
      if (artifacts.supports_cpu_offload) return std::nullopt;
      return "what was loaded cannot keep layers on the CPU";
    case Id::gpu_offload:
      if (artifacts.supports_gpu_offload) return std::nullopt;
      return "what was loaded cannot keep layers on an accelerator";
    case Id::multimodal_shell:
      if (artifacts.multimodal && artifacts.has_processor) return std::nullopt;
      return "there is no processor for images and audio";
    default:
      break;
  }
  const auto& provided = artifacts.provided_pass_ids;
  if (std::find(provided.begin(), provided.end(), id) != provided.end()) return std::nullopt;
  return "what was loaded does not provide it";
}

// The details of every native load; layers on the CPU come with accelerators.
void add_load_details(Details& details) {
  details.set("offload_cpu_applied_layers", "0");
  details.set("offload_cpu_applied_indices", "");
}

void set_traits(PlanDraft& plan, const PassTraits& traits) {
  plan.supports_disk_cache = traits.supports_disk_cache;
  plan.supports_cpu_offload = traits.supports_cpu_offload;
  plan.supports_gpu_offload = traits.supports_gpu_offload;
}

std::vector<Id> ids_of(std::span<const PlannedPass> planned) {
  std::vector<Id> ids;
  for (const PlannedPass& pass : planned) ids.push_back(pass.id);
  return ids;
}

// The decisions of passes, where those of the plan before stood, or at the end.
void decide_anew(std::vector<Decision>* decisions, std::span<const PlannedPass> planned) {
  if (decisions == nullptr) return;
  const auto of_pass = [](const Decision& decision) { return decision.what.starts_with("pass."); };
  auto at = std::find_if(decisions->begin(), decisions->end(), of_pass) - decisions->begin();
  std::erase_if(*decisions, of_pass);
  for (const PlannedPass& pass : planned) {
    decisions->insert(decisions->begin() + at++,
                      {fmt::format("pass.{}", to_string(pass.id)), "planned", pass.because});
  }
}

}  // namespace

std::span<const PassKind> passes() { return kPasses; }

const PassKind& find_pass(SpecializationPassId id) {
  for (const PassKind& pass : kPasses)
    if (pass.id == id) return pass;
  OLLM_CHECK(false);
  return kPasses.front();
}

PassConditions with_settings(PassConditions conditions, const settings::RuntimeConfig& config) {
  conditions.accelerator = config.device_type() != "cpu";
  if (config.kv_cache_strategy == kv::kResident) conditions.kv_on_disk = false;
  if (!config.use_cache) conditions.prefix_reuse = false;
  return conditions;
}

std::vector<PlannedPass> plan_passes(const PassSubject& subject, const PassConditions& conditions) {
  std::vector<PlannedPass> out;
  for (const PassKind& pass : kPasses) {
    if (!pass.exists) continue;
    if (auto because = pass.condition(subject, conditions))
      out.push_back({pass.id, *std::move(because)});
  }
  return out;
}

PassTraits traits_of(std::span<const SpecializationPassId> ids) {
  PassTraits out;
  for (const Id id : ids) {
    const PassTraits& traits = find_pass(id).traits;
    out.supports_disk_cache |= traits.supports_disk_cache;
    out.supports_cpu_offload |= traits.supports_cpu_offload;
    out.supports_gpu_offload |= traits.supports_gpu_offload;
  }
  return out;
}

std::string comma_list(std::span<const SpecializationPassId> ids) {
  std::string out;
  for (const Id id : ids) {
    if (!out.empty()) out += ',';
    out += to_string(id);
  }
  return out;
}

Details pipeline_details(std::string_view provider_id, std::span<const PlannedPass> planned,
                         const PassConditions& conditions) {
  Details out;
  out.set("provider_id", std::string(provider_id));
  out.set("pass_count", fmt::format("{}", planned.size()));
  const bool chunked = std::any_of(planned.begin(), planned.end(), [](const PlannedPass& pass) {
    return pass.id == Id::mlp_chunking;
  });
  if (chunked) {
    out.set("mlp_chunking_mode",
            std::string(conditions.mlp_rows_explicit ? kExplicitMode : kAdaptiveMode));
    out.set("mlp_chunking_max_rows", fmt::format("{}", conditions.mlp_chunk_rows));
  }
  return out;
}

PlanDraft with_generic_passes(PlanDraft plan, const PassConditions& conditions,
                              std::vector<Decision>* decisions) {
  const std::vector<PlannedPass> planned =
      plan_passes({kNativeGeneric, &plan.resolved_model, false}, conditions);
  decide_anew(decisions, planned);
  plan.generic_pass_ids = ids_of(planned);
  plan.details.set("generic_pass_ids", comma_list(plan.generic_pass_ids));
  set_traits(plan, traits_of(plan.generic_pass_ids));
  return plan;
}

PlanDraft refine_passes(PlanDraft plan, bool multimodal, const PassConditions& conditions,
                        std::vector<Decision>* decisions) {
  if (plan.backend_id == kNativeGeneric)
    return with_generic_passes(std::move(plan), conditions, decisions);
  if (plan.specialization_state != SpecializationState::planned) return plan;
  const std::string provider = plan.specialization_provider_id.value_or("");
  const std::vector<PlannedPass> planned =
      plan_passes({provider, &plan.resolved_model, multimodal}, conditions);
  std::vector<Id> ids = ids_of(planned);
  decide_anew(decisions, planned);

  // Rebuilt rather than changed, so that the keys stand where a first plan puts them.
  Details details;
  for (const auto& [key, value] : plan.details) {
    if (key == "specialization_pass_ids") {
      details.set(key, comma_list(ids));
    } else if (key == "provider_id") {
      details.merge(pipeline_details(provider, planned, conditions));
    } else if (key != "pass_count" && key != "mlp_chunking_mode" &&
               key != "mlp_chunking_max_rows") {
      details.set(key, value);
    }
  }
  plan.details = std::move(details);
  set_traits(plan, traits_of(ids));
  plan.specialization_pass_ids = std::move(ids);
  return plan;
}

std::optional<SpecializationFailure> broken_contract(const PlanDraft& plan,
                                                     const LoadedArtifacts& artifacts) {
  SpecializationFailure out = failure_of(plan, SpecializationErrorType::application_error);
  for (const Id id : out.planned_pass_ids) {
    if (Why reason = not_kept(id, artifacts)) {
      out.failed_pass_id = id;
      out.reason = *std::move(reason);
      const std::string before = comma_list(out.applied_pass_ids);
      out.error = fail(ErrorKind::unsupported,
                       fmt::format("{}: pass {} of {} could not be applied: {}; applied before it: "
                                   "{}",
                                   out.provider_id, to_string(id), comma_list(out.planned_pass_ids),
                                   out.reason, before.empty() ? "none" : before));
      return out;
    }
    out.applied_pass_ids.push_back(id);
  }
  return std::nullopt;
}

SpecializationFailure load_failure(const PlanDraft& plan, Error error) {
  SpecializationFailure out = failure_of(plan, SpecializationErrorType::load_error);
  out.reason = error.message;
  out.error = std::move(error);
  return out;
}

PlanDraft finalize_applied(PlanDraft plan, const LoadedArtifacts& artifacts) {
  OLLM_CHECK(!broken_contract(plan, artifacts));
  if (plan.specialization_state != SpecializationState::planned) {
    plan.details.merge(artifacts.details);
    if (plan.backend_id == kNativeGeneric)
      plan.details.set("applied_generic_pass_ids", comma_list(plan.generic_pass_ids));
    return plan;
  }
  add_load_details(plan.details);
  plan.details.merge(artifacts.details);
  const std::string count = fmt::format("{}", plan.specialization_pass_ids.size());
  plan.details.set("applied_specialization_pass_ids", comma_list(plan.specialization_pass_ids));
  plan.details.set("planned_pass_count", count);
  plan.details.set("applied_pass_count", count);
  plan.specialization_applied = true;
  plan.specialization_state = SpecializationState::applied;
  plan.applied_specialization_pass_ids = plan.specialization_pass_ids;
  return plan;
}

Details pass_details(const PlanDraft& plan) {
  Details out;
  for (const char* key :
       {"provider_id", "pass_count", "mlp_chunking_mode", "mlp_chunking_max_rows"})
    if (const std::string* value = plan.details.find(key)) out.set(key, *value);
  return out;
}

std::optional<std::string> why_no_fallback(const PlanDraft& plan, bool explicit_backend,
                                           std::int64_t offload_cpu_layers,
                                           std::int64_t offload_gpu_layers) {
  if (plan.backend_id != kOptimizedNative) return "only a provider's plan has a fallback";
  if (explicit_backend) return "the settings name the backend";
  if (!plan.generic_model_kind) return "the model is of no kind that the generic backend knows";
  if (offload_cpu_layers > 0 || offload_gpu_layers > 0)
    return "the generic backend cannot place layers as the settings ask";
  return std::nullopt;
}

PlanDraft to_fallback(PlanDraft plan, SpecializationErrorType type, const std::string& error) {
  plan.failure = failure_of(plan, type);
  plan.failure->reason = error;
  plan.failure->error = fail(ErrorKind::unsupported, error);
  const std::string provider = plan.specialization_provider_id.value_or("");
  const std::string failed_backend = plan.backend_id.value_or(std::string(kOptimizedNative));
  plan.backend_id = kNativeGeneric;
  plan.support_level = SupportLevel::generic;
  plan.supports_disk_cache = plan.supports_cpu_offload = plan.supports_gpu_offload = false;
  plan.specialization_applied = false;
  plan.specialization_state = SpecializationState::fallback;
  plan.applied_specialization_pass_ids.clear();
  plan.fallback_reason = error;
  plan.reason = fmt::format("{} could not take the model, so {} runs it: {}", provider,
                            kNativeGeneric, error);
  plan.details.set("fallback_from_backend_id", failed_backend);
  plan.details.set("fallback_error_type", std::string(to_string(type)));
  plan.details.set("fallback_provider_id", provider);
  return plan;
}

}  // namespace ollm::plan
