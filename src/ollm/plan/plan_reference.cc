#include "ollm/plan/plan_reference.h"

#include <utility>

namespace ollm::plan {

Result<PlannedReference> plan_reference(const RuntimeConfig& config, const Environment& environment,
                                        const SelectorMachine& machine,
                                        const SelectOptions& options, io::SystemCalls& calls) {
  Settings settings;
  settings.runtime = config;
  OLLM_TRY_VOID(check_settings(settings));
  OLLM_TRY(const ModelReference reference,
           parse_reference(config.model_reference, environment, calls));
  PlannedReference out;
  out.resolution = resolve(reference, resolve_options(config.models_dir, environment), calls);
  OLLM_TRY(out.selection, select_backend(out.resolution, config, options));
  OLLM_TRY(out.kv, select_kv(out.selection.plan, config, machine));
  out.selection.plan = with_selection(std::move(out.selection.plan), out.kv);
  out.effective = effective_config(config, out.kv);
  return out;
}

}  // namespace ollm::plan
