// The models of this machine and the built-in aliases, each with the plan that it would get.
// Leaves to others: one model's plan (plan_reference.h) and its JSON (payloads.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/plan/plan_reference.h"

namespace ollm::plan {

/// How a listed model was found; the wire values of `discovery_source`.
inline constexpr std::string_view kBuiltIn = "built-in";
inline constexpr std::string_view kDiscoveredLocal = "discovered-local";
inline constexpr std::string_view kDiscoveredHubCache = "discovered-hub-cache";

struct ListedModel {
  PlannedReference planned;
  std::string discovery_source;
};

/// Every alias, every folder of the models folder and every repository of the hub's cache that no
/// alias stands for, sorted by (source_kind, reference); config.model_reference is not looked at.
/// What cannot be planned stands in the list with its refusal, whatever its folder is called.
/// Errors: those of check_settings; io and unsupported (above 10000 entries) of the models folder
/// and the cache themselves.
Result<std::vector<ListedModel>> list_models(const settings::RuntimeConfig& config,
                                             const io::Environment& environment,
                                             const SelectorMachine& machine,
                                             io::SystemCalls& calls = io::posix());

}  // namespace ollm::plan
