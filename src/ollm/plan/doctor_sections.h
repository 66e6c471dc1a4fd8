// The sections of `ollm doctor`: each appends its checks. A new one is a function here and a line
// in doctor.cc.
#pragma once

#include <vector>

#include "ollm/plan/doctor.h"

namespace ollm::plan {

void check_cpu(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);
void check_memory(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);
void check_storage(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);
void check_cache(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);
void check_rates(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);
void check_gpu(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);
void check_settings_files(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);
void check_models(const DoctorInputs& inputs, std::vector<DoctorCheck>& out);

}  // namespace ollm::plan
