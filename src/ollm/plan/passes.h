// Specialization passes: which exist, when each is planned, what each asks of what was loaded, and
// the two ways a plan ends: applied, or taken over by the generic backend.
// Leaves to others: the match of a model with a provider (select.h) and the passes' own work.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/plan/plan_draft.h"
#include "ollm/plan/plans.h"
#include "ollm/plan/resolved_model.h"

namespace ollm::plan {

/// What decides whether a pass applies to a run; filled from the execution plan. The default is a
/// model with all weights in memory and no prompt.
struct PassConditions {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t prefill_chunk_tokens = 0;  // 0: not yet chosen, so nothing exceeds it
  bool weights_pinned = true;              // some segments stay in memory
  bool weights_streamed = false;           // some segments are read in each sweep
  /// Rows of one piece where the feed-forward's intermediate exceeds its share of the budget; 0
  /// where it does not.
  std::uint64_t mlp_chunk_rows = 0;
  bool mlp_rows_explicit = false;  // settings: dense_projection_chunk_rows
  bool accelerator = false;        // the device is one
  bool kv_on_disk = true;          // keys and values may be written to disk
  bool prefix_reuse = true;        // and those that are stored are used again
  std::size_t draft_rows = 0;      // guesses that a sweep has rows for
  bool mixture = false;            // the model has experts
  bool expert_cache = false;       // and some of them are read in sweeps
};

/// The same, with what the settings have to say: the device, and what is kept of keys and values.
PassConditions with_settings(PassConditions conditions, const settings::RuntimeConfig& config);

/// What of a model decides whether a pass applies.
struct PassSubject {
  std::string_view provider_id;  // or kNativeGeneric
  const ResolvedModel* model = nullptr;
  bool multimodal = false;  // settings
};

/// One pass, with a line in the table of passes.cc.
struct PassKind {
  SpecializationPassId id;
  /// Whether this build has it. A pass that does not exist is never planned.
  bool exists = false;
  PassTraits traits;
  std::string_view summary;
  /// Why it applies, or nothing where it does not.
  std::optional<std::string> (*condition)(const PassSubject&, const PassConditions&);
};

/// All passes, in the order in which they stand in a plan.
std::span<const PassKind> passes();
const PassKind& find_pass(SpecializationPassId id);

struct PlannedPass {
  SpecializationPassId id;
  std::string because;

  friend bool operator==(const PlannedPass&, const PlannedPass&) = default;
};

/// The passes that exist and whose condition holds.
std::vector<PlannedPass> plan_passes(const PassSubject& subject, const PassConditions& conditions);

/// The OR of their traits.
PassTraits traits_of(std::span<const SpecializationPassId> ids);

/// "weight-pinning,chunked-prefill": as in `details`.
std::string comma_list(std::span<const SpecializationPassId> ids);

/// The pipeline's part of a plan's details: provider_id, pass_count and the numbers of passes.
Details pipeline_details(std::string_view provider_id, std::span<const PlannedPass> planned,
                         const PassConditions& conditions);

/// The plan of the generic backend with its passes. They are no specialization: they stand in the
/// details, and in `generic_pass_ids` of the draft.
PlanDraft with_generic_passes(PlanDraft plan, const PassConditions& conditions,
                              std::vector<Decision>* decisions = nullptr);

/// A planned plan, or one of the generic backend, with the passes of these conditions: once more
/// when the execution plan is known. Plans in any other state come back as they are. `decisions`,
/// if given, gets those of the passes anew ("pass.ID"), where the old ones stood.
PlanDraft refine_passes(PlanDraft plan, bool multimodal, const PassConditions& conditions,
                        std::vector<Decision>* decisions = nullptr);

/// What a load made, for the contracts of the passes (docs/resolving.md §4).
struct LoadedArtifacts {
  bool supports_disk_cache = false;
  bool supports_cpu_offload = false;  // and the function is there
  bool supports_gpu_offload = false;
  bool multimodal = false;
  bool has_processor = false;
  /// Passes whose work was done; all but the four above are held to it.
  std::vector<SpecializationPassId> provided_pass_ids;
  /// Keys of the backend at load, beside those of every load (docs/resolving.md §6).
  Details details;
};

/// Holds what was loaded to the contract of every planned pass, in their order: the first that is
/// broken, or nothing.
std::optional<SpecializationFailure> broken_contract(const PlanDraft& plan,
                                                     const LoadedArtifacts& artifacts);

/// A provider's failure before any pass was asked.
SpecializationFailure load_failure(const PlanDraft& plan, Error error);

/// The plan as it stands after a load: state applied, with the details of load. A plan of the
/// generic backend keeps its state (not-planned, fallback) and takes the backend's details and the
/// list of its passes. No contract may be broken.
PlanDraft finalize_applied(PlanDraft plan, const LoadedArtifacts& artifacts);

/// Whether the generic backend may take over from a plan: nothing where it may, else why not.
/// `explicit_backend`: the settings named one. Whether the model composes is asked elsewhere.
std::optional<std::string> why_no_fallback(const PlanDraft& plan, bool explicit_backend,
                                           std::int64_t offload_cpu_layers,
                                           std::int64_t offload_gpu_layers);

/// The plan of the generic backend after a provider failed. Provider, planned passes and enabled
/// stay. The KV strategy has to be selected again (kv_selector.h), as disk KV is gone.
PlanDraft to_fallback(PlanDraft plan, SpecializationErrorType type, const std::string& error);

/// What of a plan's details its passes set: how many, with which numbers.
Details pass_details(const PlanDraft& plan);

}  // namespace ollm::plan
