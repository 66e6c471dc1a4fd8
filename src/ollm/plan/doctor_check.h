// One line of `ollm doctor`: what was looked at, how it is, what to do.
// Leaves to others: who looks at what (doctor.h).
#pragma once

#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/plan/resolved_model.h"

namespace ollm::plan {

/// How it is.
enum class DoctorStatus {
  ok,    // nothing to do
  warn,  // runs, but slower, or not as one may think
  fail,  // has to be mended
};
/// "ok", "warn", "fail".
OLLM_API std::string_view to_string(DoctorStatus status);

/// One question with its answer.
struct DoctorCheck {
  std::string name = {};                   // "cpu:cores": its section and what it looks at
  DoctorStatus status = DoctorStatus::ok;  // how it is
  std::string message = {};                // what was found
  std::string advice = {};                 // what to do; empty where nothing is to be done
  Details details = {};                    // for programs
};

}  // namespace ollm::plan
