#include "ollm/cli/command_tree.h"

#include <algorithm>

#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

// The choices of a settings field, which CLI11 does not know of.
std::vector<std::string> choices_of(const std::string& flag) {
  for (const SettingsField& field : settings_fields()) {
    if (field.flag != flag) continue;
    std::vector<std::string> choices;
    for (const std::string_view choice : field.choices) choices.emplace_back(choice);
    if (field.nullable && !choices.empty() &&
        std::find(choices.begin(), choices.end(), "auto") == choices.end())
      choices.emplace_back("auto");
    return choices;
  }
  return {};
}

OptionEntry entry_of(const CLI::Option& option) {
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
    if (!entry.positional) entry.choices = choices_of(entry.names.back());
  }
  entry.repeats =
      option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll && !entry.value.empty();
  return entry;
}

}  // namespace

CommandEntry command_tree(const CLI::App& app) {
  CommandEntry entry;
  entry.name = app.get_name();
  entry.summary = app.get_description();
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty()) entry.options.push_back(entry_of(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) entry.commands.push_back(command_tree(*command));
  return entry;
}

bool is_path(const OptionEntry& option) {
  return option.value.find("path") != std::string::npos ||
         (option.positional && option.names.front() == "MODEL");
}

}  // namespace ollm::cli
