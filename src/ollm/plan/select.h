// Which backend runs a resolved model: the settings' own choice, a provider with its passes, the
// generic composition, or none; each with its reason.
// Leaves to others: the KV strategy (kv_selector.h), bytes and speed (choose.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/models/composition.h"
#include "ollm/models/model_config.h"
#include "ollm/plan/passes.h"
#include "ollm/plan/plan_draft.h"
#include "ollm/plan/plans.h"
#include "ollm/plan/providers.h"
#include "ollm/plan/resolve.h"
#include "ollm/settings/settings.h"

namespace ollm::plan {

struct SelectOptions {
  PassConditions passes;
  Allowances allowances;
  /// Asked instead of providers(); for tests of ambiguity.
  std::optional<std::span<const Provider>> providers;
};

struct Selection {
  PlanDraft plan;
  std::vector<Decision> decisions;
  /// Why the plan cannot execute, its kind picking the exit code; nothing where it can.
  std::optional<Error> refusal;
  /// What will run, where the plan can execute.
  std::optional<models::ModelConfig> config;
  std::optional<models::Composition> composition;
};

/// By the rules of docs/resolving.md §4. What does not run is a plan too, with
/// its refusal.
/// Errors: invalid_argument where several providers match ("ambiguous", naming them).
Result<Selection> select_backend(const Resolution& resolution,
                                 const settings::RuntimeConfig& config,
                                 const SelectOptions& options);

/// After a failure at apply time: composes the model for the generic backend.
/// Errors: why the generic backend cannot take over, with the first error in it.
Result<Selection> fall_back(const PlanDraft& failed, const Resolution& resolution,
                            const settings::RuntimeConfig& config, const SelectOptions& options,
                            SpecializationErrorType type, const Error& error);

}  // namespace ollm::plan
