// What `ollm doctor` says of settings and of the models that are there.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <utility>

#include "ollm/plan/doctor_sections.h"
#include "ollm/plan/model_list.h"
#include "ollm/settings/fields.h"

namespace ollm::plan {
namespace {

DoctorCheck settings_file(const DoctorInputs& inputs) {
  DoctorCheck check{.name = "settings:file"};
  const auto& file = inputs.settings.config_file;
  check.details.set("path", file ? file->string() : "");
  check.message = file ? file->string() : "none; ./ollm.toml is not there";
  return check;
}

DoctorCheck settings_values(const DoctorInputs& inputs) {
  DoctorCheck check{.name = "settings:values"};
  if (inputs.settings_error) {
    check.status = DoctorStatus::fail;
    check.message = inputs.settings_error->message;
    check.advice = "mend these settings; the rest of this report looks at the defaults";
    return check;
  }
  std::size_t given = 0;
  for (const settings::SettingsField& field : settings::settings_fields()) {
    const std::string name = field.qualified_name();
    if (!inputs.settings.given(name)) continue;
    const settings::FieldOrigin& origin = inputs.settings.origin(name);
    check.details.set(name, fmt::format("{} ({})", to_string(origin.origin), origin.place));
    ++given;
  }
  check.message = given == 0 ? "all are the defaults" : fmt::format("{} are set", given);
  return check;
}

SelectorMachine selector_machine(const DoctorInputs& inputs) {
  SelectorMachine machine;
  machine.host_memory_bytes = inputs.machine.total_bytes;
  return machine;
}

DoctorCheck installed_models(const DoctorInputs& inputs) {
  DoctorCheck check{.name = "models:installed"};
  const auto listed = list_models(inputs.settings.runtime, inputs.environment,
                                  selector_machine(inputs), *inputs.calls);
  if (!listed.ok()) {
    check.status = DoctorStatus::fail;
    check.message = listed.error().message;
    check.advice = "mend what is said, or name another folder";
    return check;
  }
  std::size_t there = 0;
  std::size_t executable = 0;
  std::vector<std::string> broken;
  for (const ListedModel& model : *listed) {
    const Selection& selection = model.planned.selection;
    const bool is_broken = selection.refusal && (selection.refusal->kind == ErrorKind::corrupt ||
                                                 selection.refusal->kind == ErrorKind::io);
    if (is_broken) broken.push_back(selection.refusal->message);
    if (!model.planned.resolution.materialized) continue;
    ++there;
    if (selection.plan.is_executable()) ++executable;
  }
  check.details.set("installed", fmt::format("{}", there));
  check.details.set("executable", fmt::format("{}", executable));
  check.details.set("broken", fmt::format("{}", broken.size()));
  check.message = fmt::format("{} on this machine, {} of them can run", there, executable);
  if (!broken.empty()) {
    check.status = DoctorStatus::warn;
    check.message += fmt::format("; broken: {}", fmt::join(broken, "; "));
    check.advice = "fetch the broken ones again";
  } else if (there == 0) {
    check.status = DoctorStatus::warn;
    check.advice =
        "put a model's folder (config.json, *.safetensors) into the models folder, or "
        "into the hub's cache: hf download ORG/NAME";
  } else if (executable < there) {
    check.advice = "`ollm models list --installed` tells why the others cannot";
  }
  return check;
}

// Of the model that was named; nobody is told about a default that was not asked for.
DoctorCheck named_model(const DoctorInputs& inputs) {
  DoctorCheck check{.name = "models:named"};
  const auto planned = plan_reference(inputs.settings.runtime, inputs.environment,
                                      selector_machine(inputs), {}, *inputs.calls);
  if (!planned.ok()) {
    check.status = DoctorStatus::fail;
    check.message = planned.error().message;
    check.advice = "mend the settings that the message names";
    return check;
  }
  const PlanDraft& plan = planned->selection.plan;
  check.message = plan.reason;
  check.details.set("source_kind", std::string(to_string(plan.resolved_model.source_kind)));
  check.details.set("support_level", std::string(to_string(plan.support_level)));
  check.details.set("backend_id", plan.backend_id.value_or(""));
  check.details.set("specialization_provider_id", plan.specialization_provider_id.value_or(""));
  check.details.set("specialization_state", std::string(to_string(plan.specialization_state)));
  check.details.set("planned_specialization_pass_ids", comma_list(plan.specialization_pass_ids));
  if (planned->selection.refusal) {
    check.status = DoctorStatus::fail;
    check.message = planned->selection.refusal->message;
    check.advice = "`ollm models list` tells which models there are";
  }
  return check;
}

}  // namespace

void check_settings_files(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  out.push_back(settings_file(inputs));
  out.push_back(settings_values(inputs));
}

void check_models(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  out.push_back(installed_models(inputs));
  if (inputs.settings.given("runtime.model_reference")) out.push_back(named_model(inputs));
}

}  // namespace ollm::plan
