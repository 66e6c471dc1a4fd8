// ollm doctor: whether machine, settings and folders are fit, and what to do where they are not.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "ollm/cli/command.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

constexpr int kExitFailedCheck = 1;

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
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Outcome run() {
    // Settings that make no sense are a finding like any other.
    const Result<Settings> settings = settings_flags_.load();
    const DoctorReport report = run_doctor(settings);
    if (json_) {
      std::printf("%s\n", report.json().c_str());
    } else {
      print(report, settings.ok() && settings->runtime.verbose);
    }
    return report.ok() ? 0 : kExitFailedCheck;
  }

 private:
  static void print(const DoctorReport& report, bool verbose) {
    for (const DoctorCheck& check : report.checks) {
      std::string text =
          fmt::format("{:<4} {}: {}\n", word_of(check.status), check.name, check.message);
      if (!check.advice.empty()) text += fmt::format("     to do: {}\n", check.advice);
      if (verbose)
        for (const auto& [key, value] : check.details)
          text += fmt::format("  {}: {}\n", key, value);
      std::fputs(text.c_str(), stdout);
    }
  }

  SettingsFlags settings_flags_;
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
