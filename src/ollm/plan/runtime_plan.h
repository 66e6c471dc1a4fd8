// RuntimePlan: before anything is loaded, which backend will run a model reference, with which
// support level and passes, and why; afterwards, what was applied.
// Leaves to others: how it is made (plan_reference.h), its JSON as a value (payloads.h), and where
// every byte will lie (ExecutionPlan).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ollm/base/api.h"
#include "ollm/plan/details.h"
#include "ollm/plan/resolved_model.h"
#include "ollm/plan/wire_values.h"

namespace ollm {

/// A value: made once, then only read; what happened at load is a new value (passes.h). Equal
/// inputs give equal plans, byte for byte in JSON.
struct RuntimePlan {
  ResolvedModel resolved_model;           // never a part of the JSON
  std::optional<std::string> backend_id;  // kOptimizedNative, kNativeGeneric; nothing: cannot run
  std::optional<std::filesystem::path> model_path;         // only where it exists
  SupportLevel support_level = SupportLevel::unsupported;  // of the backend for this model
  std::optional<GenericModelKind> generic_model_kind;      // what the generic backend would run
  /// Of the passes that are planned, not of the model.
  ///@{
  bool supports_disk_cache = false;
  bool supports_cpu_offload = false;
  bool supports_gpu_offload = false;
  ///@}
  /// Whether a provider took the model, a later fallback included.
  bool specialization_enabled = false;
  /// True only after a successful load.
  bool specialization_applied = false;
  std::optional<std::string> specialization_provider_id;  // e.g. "llama-native"
  SpecializationState specialization_state = SpecializationState::not_planned;  // how far it is
  std::vector<SpecializationPassId> specialization_pass_ids;                    // planned
  std::vector<SpecializationPassId> applied_specialization_pass_ids;  // that kept their contracts
  std::optional<std::string> fallback_reason;  // why the generic backend took over
  std::string reason;                          // for people
  Details details;                             // docs/resolving.md §6

  /// Whether there is a backend for it.
  bool is_executable() const { return backend_id.has_value(); }

  /// `as_dict` as JSON text in one line: 16 keys, always the same and in the same order.
  OLLM_API std::string as_dict_json() const;

  friend bool operator==(const RuntimePlan&, const RuntimePlan&) = default;
};

}  // namespace ollm
