// Whether this machine, its settings and its folders are fit to run models, one line for each
// question: ok, warn or fail, and what to do. Leaves to others: measuring rates
// (runtime/measure.cc).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/environment.h"
#include "ollm/io/system_calls.h"
#include "ollm/machine/machine.h"
#include "ollm/plan/doctor_check.h"
#include "ollm/settings/settings.h"

namespace ollm::plan {

struct DoctorInputs {
  settings::Settings settings;          // the defaults where they could not be read
  std::optional<Error> settings_error;  // why not
  machine::Machine machine;
  io::Environment environment;
  io::SystemCalls* calls = nullptr;
  Result<void> io_uring;  // why it is not allowed, where it is not
};

/// All sections in their order: cpu, memory, storage, cache, rates, gpu, settings, models. Writes
/// nothing that stays. A file that cannot be read is a check that says so.
std::vector<DoctorCheck> run_doctor(const DoctorInputs& inputs);

/// Whether nothing failed.
bool all_ok(const std::vector<DoctorCheck>& checks);

/// {"ok", "checks": [...]}. Schema: docs/formats/doctor.schema.json.
nlohmann::ordered_json doctor_payload(const std::vector<DoctorCheck>& checks);

}  // namespace ollm::plan
