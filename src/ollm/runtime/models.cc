// Models of this machine behind the front door: one by its reference, or all that there are.
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/value_document.h"
#include "ollm/io/environment.h"
#include "ollm/machine/machine.h"
#include "ollm/ollm.h"
#include "ollm/plan/model_list.h"
#include "ollm/plan/payloads.h"

namespace ollm {
namespace {

using Json = nlohmann::ordered_json;

plan::SelectorMachine selector_machine() {
  plan::SelectorMachine machine;
  machine.host_memory_bytes = machine::Machine::detect().total_bytes;
  return machine;
}

ModelInfo info_of(plan::PlannedReference planned, std::string discovery_source) {
  ModelInfo info;
  info.runtime_plan = RuntimePlan(std::move(planned.selection.plan));
  info.materialized = planned.resolution.materialized;
  info.refusal = std::move(planned.selection.refusal);
  info.discovery_source = std::move(discovery_source);
  return info;
}

Json payload(const ModelInfo& info) {
  return plan::merged_payload(info.runtime_plan, info.materialized);
}

}  // namespace

Value ModelInfo::as_dict() const { return make_value(payload(*this)); }

std::string ModelInfo::json() const { return as_dict().json(kJsonIndent); }

Result<ModelInfo> model_info(const Settings& settings) {
  OLLM_TRY(
      plan::PlannedReference planned,
      plan::plan_reference(settings.runtime, io::Environment::of_process(), selector_machine()));
  return info_of(std::move(planned), {});
}

Result<std::vector<ModelInfo>> list_models(const Settings& settings) {
  OLLM_TRY(auto listed,
           plan::list_models(settings.runtime, io::Environment::of_process(), selector_machine()));
  std::vector<ModelInfo> out;
  for (plan::ListedModel& model : listed)
    out.push_back(info_of(std::move(model.planned), std::move(model.discovery_source)));
  return out;
}

std::string models_json(const std::vector<ModelInfo>& models) {
  Json list = Json::array();
  for (const ModelInfo& info : models) {
    Json entry = payload(info);
    entry["discovery_source"] = info.discovery_source;
    list.push_back(std::move(entry));
  }
  Json out = Json::object();
  out["models"] = std::move(list);
  return json_dump(out, kJsonIndent);
}

}  // namespace ollm
