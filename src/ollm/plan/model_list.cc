#include "ollm/plan/model_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "ollm/hub/cache.h"
#include "ollm/plan/catalog.h"

namespace ollm::plan {
namespace {

// A model that cannot be planned with these settings.
PlannedReference refused(Resolution resolution, const settings::RuntimeConfig& config,
                         Error error) {
  PlannedReference out;
  out.selection.plan.resolved_model = resolution.model;
  if (resolution.materialized) out.selection.plan.model_path = resolution.model.model_path;
  out.selection.plan.reason = error.message;
  out.selection.refusal = std::move(error);
  out.resolution = std::move(resolution);
  out.effective = config;
  return out;
}

// References of what the cache holds, by their text: "org/name" for main, before "org/name@v1" for
// its other branches and tags; "hf://name" where there is no organisation.
std::vector<ModelReference> references_of(const std::vector<hub::CachedRevision>& cached) {
  std::vector<ModelReference> out;
  for (const auto& [repo_id, revision] : cached) {
    ModelReference reference;
    reference.identifier = reference.raw = repo_id;
    if (repo_id.find('/') == std::string::npos) {
      reference.scheme = "hf";
      reference.raw = fmt::format("hf://{}", repo_id);
    }
    if (revision) reference.raw += "@" + *revision;
    reference.revision = revision;
    out.push_back(std::move(reference));
  }
  std::sort(out.begin(), out.end(),
            [](const ModelReference& a, const ModelReference& b) { return a.raw < b.raw; });
  return out;
}

}  // namespace

Result<std::vector<ListedModel>> list_models(const settings::RuntimeConfig& config,
                                             const io::Environment& environment,
                                             const SelectorMachine& machine,
                                             io::SystemCalls& calls) {
  std::vector<ListedModel> out;
  std::set<std::filesystem::path> known;  // folders of the models listed so far, without links
  settings::Settings settings;
  settings.runtime = config;
  OLLM_TRY_VOID(settings::check_settings(settings));
  const ResolveOptions places = resolve_options(config.models_dir, environment);
  const auto add = [&](const ModelReference& reference, std::string_view source) {
    settings::RuntimeConfig one = config;
    one.model_reference = reference.raw;
    Resolution resolution = resolve(reference, places, calls);
    auto planned = plan_resolved(resolution, one, machine);
    if (!planned.ok()) planned = refused(std::move(resolution), one, std::move(planned).error());
    if (const auto& path = planned->selection.plan.model_path) {
      if (!known.insert(io::resolve_links(*path, calls)).second) return;
    }
    out.push_back({std::move(planned).value(), std::string(source)});
  };
  // Names that were found are no texts that a person typed: nothing is parsed in them.
  for (const CatalogEntry& entry : catalog()) {
    ModelReference alias;
    alias.raw = alias.identifier = entry.model_id;
    add(alias, kBuiltIn);
  }
  OLLM_TRY(const auto folders, discover_local(places.models_dir, calls));
  for (const ModelReference& folder : folders) add(folder, kDiscoveredLocal);
  if (places.hub_cache) {
    OLLM_TRY(const auto cached, hub::list_cached(*places.hub_cache, calls));
    for (const ModelReference& reference : references_of(cached))
      add(reference, kDiscoveredHubCache);
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
