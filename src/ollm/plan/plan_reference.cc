#include "ollm/plan/plan_reference.h"

#include <utility>

#include "ollm/kv/strategies.h"
#include "ollm/plan/reference.h"

namespace ollm::plan {

Result<PlannedReference> plan_resolved(Resolution resolution, const settings::RuntimeConfig& config,
                                       const SelectorMachine& machine,
                                       const SelectOptions& options) {
  PlannedReference out;
  out.resolution = std::move(resolution);
  OLLM_TRY(out.selection, select_backend(out.resolution, config, options));
  OLLM_TRY(out.kv, select_kv(out.selection.plan, config, machine));
  out.selection.plan = with_selection(std::move(out.selection.plan), out.kv);
  if (out.kv.applied == kv::kResident) {
    PassConditions in_memory = with_settings(options.passes, config);
    in_memory.kv_on_disk = false;
    out.selection.plan = refine_passes(std::move(out.selection.plan), config.multimodal, in_memory,
                                       &out.selection.decisions);
  }
  out.effective = effective_config(config, out.kv);
  return out;
}

Result<PlannedReference> plan_reference(const settings::RuntimeConfig& config,
                                        const io::Environment& environment,
                                        const SelectorMachine& machine,
                                        const SelectOptions& options, io::SystemCalls& calls) {
  settings::Settings settings;
  settings.runtime = config;
  OLLM_TRY_VOID(settings::check_settings(settings));
  OLLM_TRY(const ModelReference reference,
           parse_reference(config.model_reference, environment, calls));
  return plan_resolved(resolve(reference, resolve_options(config.models_dir, environment), calls),
                       config, machine, options);
}

}  // namespace ollm::plan
