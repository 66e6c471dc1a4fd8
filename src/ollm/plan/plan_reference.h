// From a reference to a runtime plan: resolve, inspect, select, choose KV (docs/resolving.md).
// Nothing is loaded, downloaded or changed, only headers are read.
// Leaves to others: bytes and speed (choose.h), both plans in one (plan_run.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"
#include "ollm/plan/kv_selector.h"
#include "ollm/plan/resolve.h"
#include "ollm/plan/select.h"
#include "ollm/settings/settings.h"

namespace ollm::plan {

struct PlannedReference {
  Resolution resolution;
  /// Plan, refusal, composition; the plan has the details of `kv`, whose decisions stay there.
  Selection selection;
  KvSelection kv;
  settings::RuntimeConfig effective;  // the settings with what was applied
};

/// Plans a reference that was found, whatever config.model_reference is.
/// Errors: as plan_reference, but for those of settings and references.
Result<PlannedReference> plan_resolved(Resolution resolution, const settings::RuntimeConfig& config,
                                       const SelectorMachine& machine,
                                       const SelectOptions& options = {});

/// Plans config.model_reference.
/// Errors: invalid_argument for settings that contradict each other, a reference that is none, and
/// several providers that match; unsupported for a KV strategy that was asked for and that the plan
/// cannot have.
Result<PlannedReference> plan_reference(const settings::RuntimeConfig& config,
                                        const io::Environment& environment,
                                        const SelectorMachine& machine,
                                        const SelectOptions& options = {},
                                        io::SystemCalls& calls = io::posix());

}  // namespace ollm::plan
