#include "ollm/plan/model_list.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "ollm/plan/hub_cache.h"

namespace ollm::plan {

Result<std::vector<ListedModel>> list_models(const RuntimeConfig& config,
                                             const Environment& environment,
                                             const SelectorMachine& machine,
                                             io::SystemCalls& calls) {
  std::vector<ListedModel> out;
  std::set<std::filesystem::path> known;  // folders of the models listed so far, without links
  const auto add = [&](std::string reference, std::string_view source) -> Result<void> {
    RuntimeConfig one = config;
    one.model_reference = std::move(reference);
    OLLM_TRY(PlannedReference planned, plan_reference(one, environment, machine, {}, calls));
    if (const auto& path = planned.selection.plan.model_path) {
      if (!known.insert(resolve_links(*path, calls)).second) return {};
    }
    out.push_back({std::move(planned), std::string(source)});
    return {};
  };
  for (const CatalogEntry& entry : catalog())
    OLLM_TRY_VOID(add(std::string(entry.model_id), kBuiltIn));
  const ResolveOptions places = resolve_options(config.models_dir, environment);
  OLLM_TRY(const auto folders, discover_local(places.models_dir, calls));
  for (const ModelReference& folder : folders) OLLM_TRY_VOID(add(folder.raw, kDiscoveredLocal));
  if (places.hub_cache) {
    OLLM_TRY(const auto cached, list_cached(*places.hub_cache, calls));
    for (const std::string& reference : cached) OLLM_TRY_VOID(add(reference, kDiscoveredHubCache));
  }
  std::sort(out.begin(), out.end(), [](const ListedModel& a, const ListedModel& b) {
    const auto key = [](const ListedModel& listed) {
      const ResolvedModel& model = listed.planned.resolution.model;
      return std::tuple(to_string(model.source_kind), std::string_view(model.reference.raw));
    };
    return key(a) < key(b);
  });
  return out;
}

}  // namespace ollm::plan
