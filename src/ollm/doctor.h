/// \file
/// Whether this machine, its settings and its folders are fit to run models, and the rates that
/// plans are made with: what `ollm doctor` asks and measures.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/plan/doctor_check.h"

namespace ollm {

using plan::DoctorCheck;

/// What `ollm doctor` found.
struct DoctorReport {
  std::vector<DoctorCheck> checks;  // in the order of their sections

  /// Whether nothing failed.
  OLLM_API bool ok() const;
  /// docs/formats/doctor.schema.json, pretty-printed.
  OLLM_API std::string json() const;
};

/// Looks at this machine, the folders that the settings name and the models in them. Settings that
/// could not be read are a finding: the rest looks at the defaults then.
OLLM_API DoctorReport run_doctor(const Result<Settings>& settings);

/// How the machine is measured.
struct MeasureOptions {
  std::size_t threads = 0;               // 0: every core that this process may use
  std::filesystem::path disk_file;       // read from past the page cache; empty: disks are left out
  std::filesystem::path scratch_folder;  // where no file is given: one is written here and removed
};

/// Measures memory, arithmetic, kernels and the disk, and keeps what it found for later plans
/// (profile.json under the cache folder). The profile as JSON: docs/formats/profile.schema.json.
/// Errors: io, unsupported where the file system has no direct access; cancelled; out_of_budget
/// where a gibibyte cannot be had.
OLLM_API Result<std::string> measure_machine(const MeasureOptions& options,
                                             OnProgress on_progress = nullptr,
                                             const CancellationToken* cancel = nullptr);

}  // namespace ollm
