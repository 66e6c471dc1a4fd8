// A RuntimePlan while it is made: what select_backend begins, passes and KV strategy add to, and
// loading ends. Leaves to others: reading it once it is made (plans.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ollm/plan/plans.h"
#include "ollm/plan/resolved_model.h"
#include "ollm/settings/settings.h"

namespace ollm::plan {

/// The fields of a RuntimePlan, each as its accessor there says.
struct PlanDraft {
  ResolvedModel resolved_model;
  std::optional<std::string> backend_id;
  std::optional<std::filesystem::path> model_path;
  SupportLevel support_level = SupportLevel::unsupported;
  std::optional<GenericModelKind> generic_model_kind;
  bool supports_disk_cache = false;
  bool supports_cpu_offload = false;
  bool supports_gpu_offload = false;
  bool specialization_enabled = false;
  bool specialization_applied = false;
  std::optional<std::string> specialization_provider_id;
  SpecializationState specialization_state = SpecializationState::not_planned;
  std::vector<SpecializationPassId> specialization_pass_ids;
  std::vector<SpecializationPassId> applied_specialization_pass_ids;
  /// Passes of the generic backend: no provider planned them, so that they stand in no field of a
  /// RuntimePlan but its details (generic_pass_ids).
  std::vector<SpecializationPassId> generic_pass_ids;
  std::optional<std::string> fallback_reason;
  std::string reason;
  Details details;
  std::optional<SpecializationFailure> failure;

  bool is_executable() const { return backend_id.has_value(); }

  friend bool operator==(const PlanDraft&, const PlanDraft&) = default;
};

}  // namespace ollm::plan
