// Which KV strategy a plan takes: by profile, model and machine, first rule that holds, first
// strategy of its list that can be had. Leaves to others: the store itself (kv/).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/plan/plan_draft.h"
#include "ollm/plan/plans.h"
#include "ollm/settings/settings.h"

namespace ollm::plan {

/// What the selector wants to know of a machine: plain values, so that goldens hold one fixed.
struct SelectorMachine {
  std::string platform = "linux";                         // lower case; "" is unknown
  std::optional<std::uint64_t> host_memory_bytes;         // all there is, not what is free
  std::optional<std::uint64_t> accelerator_memory_bytes;  // of CUDA device 0
};

/// What the rules ask (docs/resolving.md §5), each by its wire value.
struct SelectorDimensions {
  std::string model_family;
  std::string modality_bucket;
  std::string platform;
  std::string accelerator_kind;
  std::string host_ram_tier;
  std::string accelerator_memory_tier;
  std::vector<std::string> required_runtime_features;
  std::string model_size_tier;
};

SelectorDimensions selector_dimensions(const PlanDraft& plan, const SelectorMachine& machine);

/// Billions of parameters as a name tells them: the first number directly before "b" or "B" in
/// normalized name, reference, repository; nothing where none tells.
std::optional<double> billions_in_name(const ResolvedModel& model);

/// Why a strategy that is built cannot be had, or nothing where it can.
using WhyNotStrategy = FunctionRef<std::optional<std::string>(std::string_view strategy)>;

struct KvSelection {
  SelectorDimensions dimensions;
  std::string profile;
  std::string rule_id;
  std::string requested_override;           // empty where no strategy was asked for
  std::string selected;                     // what the rule prefers
  std::string applied;                      // the first of the chain that can be had
  std::vector<std::string> fallback_chain;  // selected, then the next choices
  std::string reason;
  std::string requested_lifecycle;
  std::string applied_lifecycle;  // runtime-scoped where nothing is kept for later runs
  std::string lifecycle_reason;   // empty where they do not differ
  std::vector<Decision> decisions;
};

/// By the rules of docs/resolving.md §5. A rule whose strategies cannot be had, or are not built,
/// goes down its list; what the user asked for by name (strategy, window) is never replaced. Where
/// the plan has no disk cache, the reason says what would have been preferred. Errors: unsupported
/// where the strategy asked for, or the window, needs a disk cache that the plan has not, or is not
/// built; out_of_budget where none of the list can be had.
Result<KvSelection> select_kv(const PlanDraft& plan, const settings::RuntimeConfig& config,
                              const SelectorMachine& machine, WhyNotStrategy why_not = nullptr);

/// The plan with the selector's details (docs/resolving.md §5).
PlanDraft with_selection(PlanDraft plan, const KvSelection& selection);

/// Whether stored keys and values are used again, in this process at least; and whether they are
/// kept for later runs.
///@{
bool reuses_kv(const settings::RuntimeConfig& config, const KvSelection& selection);
bool keeps_kv(const settings::RuntimeConfig& config, const KvSelection& selection);
///@}

/// The settings with what was applied: strategy and lifecycle.
settings::RuntimeConfig effective_config(settings::RuntimeConfig config,
                                         const KvSelection& selection);

}  // namespace ollm::plan
