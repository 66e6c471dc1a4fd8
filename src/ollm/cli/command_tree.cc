#include "ollm/cli/command_tree.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ollm/load_settings.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

// The field of the settings that an option sets, or nullptr; a model is one of them wherever it
// stands.
const SettingsField* field_of(const OptionEntry& option) {
  for (const SettingsField& field : settings_fields())
    for (const std::string& name : option.names)
      if (field.flag == name || (name == "MODEL" && field.flag == "--model")) return &field;
  return nullptr;
}

std::vector<std::string> choices_of(const SettingsField& field) {
  std::vector<std::string> choices(field.choices.begin(), field.choices.end());
  if (field.nullable && !choices.empty() &&
      std::find(choices.begin(), choices.end(), "auto") == choices.end())
    choices.emplace_back("auto");
  return choices;
}

std::string not_built(const SettingsField& field) {
  if (!field.without_effect.empty()) return fmt::format("no effect: {}", field.without_effect);
  const settings::NotBuilt& refused = field.not_built;
  if (refused.why.empty()) return "";
  return fmt::format("refused{}{}: {}", refused.values.empty() ? "" : " for ",
                     fmt::join(refused.values, ", "), refused.why);
}

}  // namespace

OptionEntry option_entry(const CLI::Option& option) {
  OptionEntry entry;
  entry.summary = option.get_description();
  entry.group = option.get_group();
  entry.positional = option.nonpositional() ? false : option.get_positional();
  if (entry.positional) {
    entry.names.push_back(option.get_single_name());
  } else {
    for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  }
  if (option.get_items_expected_max() > 0) {
    entry.value = option.get_type_name();
    entry.default_text = option.get_default_str();
  }
  if (const SettingsField* field = field_of(entry)) {
    entry.choices = choices_of(*field);
    entry.default_text = field->default_text();
    entry.not_built = not_built(*field);
  }
  entry.repeats =
      option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll && !entry.value.empty();
  return entry;
}

std::vector<std::string> notes_of(const OptionEntry& option) {
  std::vector<std::string> notes;
  if (!option.choices.empty())
    notes.push_back(fmt::format("one of: {}", fmt::join(option.choices, ", ")));
  if (!option.default_text.empty()) notes.push_back("default: " + option.default_text);
  if (!option.not_built.empty()) notes.push_back(option.not_built);
  return notes;
}

CommandEntry command_tree(const CLI::App& app) {
  CommandEntry entry;
  entry.name = app.get_name();
  entry.summary = app.get_description();
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty()) entry.options.push_back(option_entry(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) entry.commands.push_back(command_tree(*command));
  return entry;
}

bool is_path(const OptionEntry& option) {
  return option.value.find("path") != std::string::npos ||
         (option.positional && option.names.front() == "MODEL");
}

}  // namespace ollm::cli
