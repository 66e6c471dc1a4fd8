// ollm doctor: whether machine, settings and folders are fit, and what to do where they are not.
#include "ollm/doctor.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "ollm/cli/command.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

constexpr int kExitFailedCheck = 1;

// A smaller file tells little of a disk.
constexpr std::uintmax_t kSmallestMeasured = std::uintmax_t{64} << 20;

std::string_view word_of(plan::DoctorStatus status) {
  switch (status) {
    case plan::DoctorStatus::ok:
      return "OK";
    case plan::DoctorStatus::warn:
      return "WARN";
    case plan::DoctorStatus::fail:
      return "FAIL";
  }
  return "FAIL";
}

class DoctorCommand {
 public:
  explicit DoctorCommand(CLI::App& app) : settings_flags_(app, {"runtime"}, false) {
    app.add_flag("--measure", measure_,
                 "Measure memory, arithmetic and disk first, for this and later plans");
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Outcome run() {
    // Settings that make no sense are a finding like any other.
    const Result<Settings> settings = settings_flags_.load();
    if (measure_) {
      OLLM_TRY_VOID(measure(settings.ok() ? *settings : Settings()));
    }
    const DoctorReport report = run_doctor(settings);
    if (json_) {
      print_json(report.json());
    } else {
      print(report, settings.ok() && settings->runtime.verbose);
    }
    return report.ok() ? 0 : kExitFailedCheck;
  }

 private:
  // The disk is read where the models are: the model that was named, or the largest file of the
  // models' folder, or a file of the measurement's own in the folder for temporary files.
  static Result<void> measure(const Settings& settings) {
    MeasureOptions options;
    for (const std::string& folder :
         {settings.given("runtime.model_reference") ? settings.runtime.model_reference
                                                    : std::string(),
          settings.runtime.models_dir}) {
      if (options.disk_file.empty()) options.disk_file = largest_weights(folder);
    }
    if (options.disk_file.empty()) {
      std::error_code error;
      options.scratch_folder = std::filesystem::temp_directory_path(error);
      if (error) {
        return fail(
            ErrorKind::not_found,
            fmt::format("there is no folder for temporary files ({}): set TMPDIR, or name a "
                        "model to read from with --model",
                        error.message()));
      }
    }
    ProgressLine progress(Verbosity::normal, Screen::standard_error());
    Result<std::string> measured = measure_machine(options, progress, &cancel_on_interrupt());
    if (!measured.ok()) return std::move(measured).error();
    progress.clear();
    return {};
  }

  static std::filesystem::path largest_weights(const std::filesystem::path& folder) {
    std::filesystem::path largest;
    std::uintmax_t size = kSmallestMeasured;
    std::error_code error;
    if (folder.empty()) return largest;
    for (std::filesystem::recursive_directory_iterator entry(folder, error), end;
         !error && entry != end; entry.increment(error)) {
      if (entry->path().extension() != ".safetensors") continue;
      std::error_code unknown;
      const std::uintmax_t bytes = entry->file_size(unknown);
      if (unknown || bytes <= size) continue;
      largest = entry->path();
      size = bytes;
    }
    return largest;
  }

  static void print(const DoctorReport& report, bool verbose) {
    for (const DoctorCheck& check : report.checks) {
      std::string text =
          fmt::format("{:<4} {}: {}\n", word_of(check.status), check.name, check.message);
      if (!check.advice.empty()) text += fmt::format("     to do: {}\n", check.advice);
      if (verbose)
        for (const auto& [key, value] : check.details)
          text += fmt::format("  {}: {}\n", key, value);
      print_words(stdout, text);
    }
  }

  SettingsFlags settings_flags_;
  bool measure_ = false;
  bool json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<DoctorCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kDoctor{
    .name = "doctor", .summary = "Check machine, settings, folders and models", .set_up = set_up};

}  // namespace ollm::cli
