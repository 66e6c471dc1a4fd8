// Flags of settings: one for each field of the table, so that --help, ollm.toml and the environment
// name the same things.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/load_settings.h"
#include "ollm/ollm.h"

namespace ollm::cli {

class SettingsFlags {
 public:
  /// Declares the flags of the named sections, and --config. `positional_model`: the model is the
  /// first positional argument instead of --model.
  SettingsFlags(CLI::App& app, std::initializer_list<std::string_view> sections,
                bool positional_model);

  /// All layers merged; variables of the environment that nobody reads are told on stderr, unless
  /// it is to be quiet. Errors: invalid_argument, every problem at once.
  Result<Settings> load() const;

 private:
  struct Flag {
    const SettingsField* field;
    CLI::Option* option;
    std::string text;                // of one value
    std::vector<std::string> texts;  // of a list
    bool on = false;                 // of a boolean
  };

  CLI::Option *model_ = nullptr, *config_ = nullptr;
  std::string model_text_;
  std::vector<std::unique_ptr<Flag>> flags_;  // options point into them
  std::string config_file_;
};

/// --allow-config-key and --allow-unused-tensors.
void add_allowances(CLI::App& app, Allowances& allowances);

}  // namespace ollm::cli
