#include "ollm/cli/settings_flags.h"

#include <algorithm>

#include "ollm/cli/exit_code.h"
#include "ollm/load_settings.h"

namespace ollm::cli {

SettingsFlags::SettingsFlags(CLI::App& app, std::initializer_list<std::string_view> sections,
                             bool positional_model) {
  for (const SettingsField& field : settings_fields()) {
    if (std::find(sections.begin(), sections.end(), field.section) == sections.end()) continue;
    if (field.flag == "--model" && positional_model) {
      model_ = app.add_option("MODEL", model_text_, "Model: a folder, an alias or a repository");
      continue;
    }
    auto flag = std::make_unique<Flag>();
    flag->field = &field;
    const std::string summary(field.summary);
    if (field.type == settings::FieldType::boolean) {
      std::string names(field.flag);
      if (!field.off_flag.empty()) names += ",!" + std::string(field.off_flag);
      flag->option = app.add_flag(names, flag->on, summary);
    } else if (field.type == settings::FieldType::texts) {
      flag->option = app.add_option(std::string(field.flag), flag->texts, summary)
                         ->type_name(std::string(to_string(field.type)))
                         ->take_all();
    } else {
      flag->option = app.add_option(std::string(field.flag), flag->text, summary)
                         ->type_name(std::string(to_string(field.type)))
                         ->take_last();
    }
    flag->option->group("Settings: " + std::string(field.section));
    flags_.push_back(std::move(flag));
  }
  config_ = app.add_option("--config", config_file_, "Settings file, instead of ./ollm.toml")
                ->type_name("path")
                ->group("Settings: files");
}

Result<Settings> SettingsFlags::load() const {
  SettingsSources sources;
  sources.environment = Environment::of_process();
  if (config_->count() > 0) sources.config_file = config_file_;
  if (model_ != nullptr && model_->count() > 0)
    sources.overrides.push_back({"runtime.model_reference", model_text_, "MODEL"});
  for (const auto& flag : flags_) {
    if (flag->option->count() == 0) continue;
    SettingsOverride value;
    value.field = flag->field->qualified_name();
    value.place = flag->field->flag;
    if (flag->field->type == settings::FieldType::boolean) {
      value.value = flag->on;
    } else if (flag->field->type == settings::FieldType::texts) {
      value.value = flag->texts;
    } else {
      value.value = flag->text;
    }
    sources.overrides.push_back(std::move(value));
  }
  Result<Settings> settings = load_settings(sources);
  if (!settings.ok() || !settings->runtime.quiet)
    for (const std::string& warning : settings::unknown_variables(sources.environment))
      print_warning(warning);
  return settings;
}

void add_allowances(CLI::App& app, Allowances& allowances) {
  app.add_option("--allow-config-key", allowances.config_keys,
                 "Run although this key of config.json is not understood")
      ->type_name("name")
      ->take_all();
  app.add_option("--allow-unused-tensors", allowances.unused_tensors,
                 "Run although nothing uses tensors of this name; * for any characters")
      ->type_name("pattern")
      ->take_all();
}

}  // namespace ollm::cli
