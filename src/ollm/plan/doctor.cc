#include "ollm/plan/doctor.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ollm/base/utf8.h"
#include "ollm/plan/doctor_sections.h"
#include "ollm/plan/payloads.h"

namespace ollm::plan {
namespace {

using Section = void (*)(const DoctorInputs&, std::vector<DoctorCheck>&);

constexpr Section kSections[] = {check_cpu,   check_memory, check_storage,        check_cache,
                                 check_rates, check_gpu,    check_settings_files, check_models};

}  // namespace

std::string_view to_string(DoctorStatus status) {
  switch (status) {
    case DoctorStatus::ok:
      return "ok";
    case DoctorStatus::warn:
      return "warn";
    case DoctorStatus::fail:
      return "fail";
  }
  return "fail";
}

std::vector<DoctorCheck> run_doctor(const DoctorInputs& inputs) {
  std::vector<DoctorCheck> out;
  for (const Section section : kSections) section(inputs, out);
  return out;
}

bool all_ok(const std::vector<DoctorCheck>& checks) {
  return std::none_of(checks.begin(), checks.end(),
                      [](const DoctorCheck& check) { return check.status == DoctorStatus::fail; });
}

nlohmann::ordered_json doctor_payload(const std::vector<DoctorCheck>& checks) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const DoctorCheck& check : checks) {
    list.push_back({{"name", check.name},
                    {"ok", check.status != DoctorStatus::fail},
                    {"status", to_string(check.status)},
                    {"message", json_text(check.message)},
                    {"advice", json_text(check.advice)},
                    {"details", details_json(check.details)}});
  }
  return {{"ok", all_ok(checks)}, {"checks", std::move(list)}};
}

}  // namespace ollm::plan
