// The doctor behind the front door, with the machine and the environment of this process.
#include "ollm/plan/doctor.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/value_document.h"
#include "ollm/doctor.h"
#include "ollm/io/async_reads.h"
#include "ollm/load_settings.h"
#include "ollm/ollm.h"

namespace ollm {

bool DoctorReport::ok() const { return plan::all_ok(checks); }

std::string DoctorReport::json() const {
  return json_dump(plan::doctor_payload(checks), kJsonIndent);
}

DoctorReport run_doctor(const Result<Settings>& settings) {
  plan::DoctorInputs inputs;
  if (settings.ok()) {
    inputs.settings = *settings;
  } else {
    inputs.settings_error = settings.error();
  }
  inputs.machine = machine::Machine::detect();
  inputs.environment = Environment::of_process();
  inputs.machine.profile = machine::load_profile(inputs.environment, inputs.machine.cpu_model,
                                                 inputs.machine.cores, io::posix());
  inputs.calls = &io::posix();
  inputs.io_uring = io::probe_io_uring();
  return {plan::run_doctor(inputs)};
}

}  // namespace ollm
