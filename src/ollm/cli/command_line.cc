#include "ollm/cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "ollm/load_settings.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

constexpr std::string_view kEndOfOptions = "--";
constexpr std::string_view kHelpWord = "help";
constexpr std::string_view kMayBeEmpty = "text";  // the type of such values, in --help

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view without_dashes(std::string_view word) {
  return word.substr(word.starts_with("--") ? 2 : 1);
}

bool looks_like_option(std::string_view word) {
  if (!word.starts_with('-')) return false;
  const std::string_view name = without_dashes(word);
  return !name.empty() && is_letter(name.front());
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::vector<CLI::App*> commands_of(CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

CLI::Option* find_option(CLI::App& app, const std::string& name, bool is_long) {
  for (CLI::Option* option : app.get_options())
    if (is_long ? option->check_lname(name) : option->check_sname(name)) return option;
  return nullptr;
}

// --flag=value; true and false as settings take them.
Result<bool> flag_value(const std::string& text) {
  const SettingsField boolean{.type = settings::FieldType::boolean};
  OLLM_TRY(const settings::SettingsValue value, settings::parse_value(boolean, text, true));
  return std::get<bool>(value);
}

// CLI11 hands an option that may be repeated all words behind it, and takes "[a,b]" for two.
void take_one_value_each(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (option->nonpositional()) option->allow_extra_args(false);
  for (CLI::App* command : commands_of(app)) take_one_value_each(*command);
}

class Reader {
 public:
  Reader(CLI::App& app, std::span<const std::string> words) : at_(&app), words_(words) {}

  CommandLine read() {
    out_.command = at_;
    find_slots();
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (!options_ended_ && word == kEndOfOptions) {
        options_ended_ = true;
      } else if (!options_ended_ && looks_like_option(word)) {
        read_option(word);
      } else if (!commands_of(*at_).empty()) {
        enter(word);
      } else {
        read_positional(word);
      }
    }
    out_.command = at_;
    tell_unknown();
    if (!out_.help && !out_.version) tell_missing_command();
    if (!positional_.empty()) line_.emplace_back(kEndOfOptions);
    line_.insert(line_.end(), positional_.begin(), positional_.end());
    out_.words.assign(line_.rbegin(), line_.rend());
    return std::move(out_);
  }

 private:
  void tell(std::string problem) {
    out_.problem += (out_.problem.empty() ? "" : "; ") + std::move(problem);
  }

  // The positional words that the command takes, in order; the last may take any number.
  void find_slots() {
    slots_.clear();
    for (const CLI::Option* option : at_->get_options())
      if (option->get_positional()) slots_.push_back(option);
  }

  const CLI::Option* slot_of(std::size_t index) const {
    if (index < slots_.size()) return slots_[index];
    const bool many = !slots_.empty() && slots_.back()->get_items_expected_max() > 1;
    return many ? slots_.back() : nullptr;
  }

  void enter(const std::string& word) {
    if (options_ended_)
      return tell(fmt::format("'{}' stands behind --, where no command is read", word));
    for (CLI::App* command : commands_of(*at_)) {
      if (command->get_name() != word) continue;
      at_ = command;
      line_.push_back(word);
      find_slots();
      return;
    }
    if (word == kHelpWord) {
      out_.help = true;
    } else {
      unknown_.push_back({word, false, at_});
    }
  }

  void read_positional(const std::string& word) {
    const CLI::Option* slot = slot_of(positional_.size());
    if (slot == nullptr) return unknown_.push_back({word, false, at_});
    if (word.empty() && slot->get_type_name() != kMayBeEmpty)
      return tell(fmt::format("{}: found an empty text", slot->get_single_name()));
    positional_.push_back(word);
  }

  void read_option(const std::string& word) {
    if (!word.starts_with("--")) return read_letters(word);
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    CLI::Option* option = find_option(*at_, name, true);
    if (option == nullptr) {
      unknown_.push_back({word, true, at_});
    } else if (equals == std::string::npos) {
      take(*option, "--" + name);
    } else if (takes_value(*option)) {
      add(*option, "--" + name, word.substr(equals + 1));
    } else {
      set_flag(*option, "--" + name, word.substr(equals + 1));
    }
  }

  // -i FILE, -i=FILE: a letter that needs a value stands alone. -hV: letters that need none, all of
  // them known, or none is taken.
  void read_letters(const std::string& word) {
    if (word.size() == 2 || word[2] == '=') {
      CLI::Option* option = find_option(*at_, word.substr(1, 1), false);
      if (option != nullptr && takes_value(*option)) {
        const std::string name = word.substr(0, 2);
        return word.size() == 2 ? take(*option, name) : add(*option, name, word.substr(3));
      }
    }
    std::vector<CLI::Option*> options;
    for (const char letter : word.substr(1)) {
      CLI::Option* option = find_option(*at_, std::string(1, letter), false);
      if (option == nullptr || takes_value(*option)) return unknown_.push_back({word, true, at_});
      options.push_back(option);
    }
    for (CLI::Option* option : options) take(*option, "-" + option->get_snames().front());
  }

  void take(CLI::Option& option, const std::string& name) {
    if (!takes_value(option)) return set_flag(option, name, "true");
    const bool there = next_ < words_.size();
    const std::string value = there ? words_[next_] : "";
    // An option's name in the place of a value is a value that was forgotten, nearly always.
    const bool is_name = looks_like_option(value) && value.starts_with("--") &&
                         find_option(*at_, value.substr(2, value.find('=') - 2), true) != nullptr;
    if (!there) {
      tell(fmt::format("{} needs a value", name));
    } else if (is_name || value == kEndOfOptions) {
      tell(fmt::format("{0} needs a value, found '{1}'; if that is the value, write {0}={1}", name,
                       value));
    } else {
      ++next_;
      add(option, name, value);
    }
  }

  void set_flag(const CLI::Option& option, const std::string& name, const std::string& text) {
    const Result<bool> value = flag_value(text);
    if (!value.ok()) return tell(fmt::format("{}: {}", name, value.error().message));
    if (&option == at_->get_help_ptr()) {
      out_.help = out_.help || *value;
    } else if (&option == at_->get_version_ptr()) {
      out_.version = out_.version || *value;
    } else {
      line_.push_back(*value ? name : name + "=false");
    }
  }

  void add(const CLI::Option& option, const std::string& name, std::string value) {
    // Nothing is a text, and no path, number or name.
    if (value.empty() && option.get_type_name() != kMayBeEmpty) {
      return tell(
          fmt::format("{}: expected {}, found an empty text", name, option.get_type_name()));
    }
    // Of a setting the last counts, as a higher layer counts above a lower one; of a document or a
    // list of ids the first would be lost without a word.
    const bool once = option.get_items_expected_max() == 1 &&
                      option.get_multi_option_policy() == CLI::MultiOptionPolicy::Throw;
    if (once && std::find(given_.begin(), given_.end(), &option) != given_.end())
      return tell(fmt::format("{} takes one value and was given twice", name));
    given_.push_back(&option);
    line_.push_back(name);
    line_.push_back(std::move(value));
  }

  // "unknown option '--memroy' (did you mean --memory?)".
  void tell_unknown() {
    std::vector<std::string> names;
    for (const CLI::Option* option : at_->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const CLI::App* command : commands_of(*at_)) names.push_back(command->get_name());
    const std::vector<std::string_view> views(names.begin(), names.end());
    // An unknown option leaves its value over, which says nothing new.
    const bool any_option = std::any_of(unknown_.begin(), unknown_.end(),
                                        [](const Unknown& unknown) { return unknown.option; });
    for (const auto& [word, option, at] : unknown_) {
      if (any_option && !option) continue;
      const std::string name = word.substr(0, word.find('='));
      if (option && at != at_ && std::find(names.begin(), names.end(), name) != names.end()) {
        tell(fmt::format("option '{}' goes behind its command: {} {}", name, command_path(*at_),
                         word));
        continue;
      }
      const bool command = !option && !commands_of(*at_).empty();
      std::string text = fmt::format("unknown {} '{}'",
                                     option ? "option" : (command ? "command" : "argument"), word);
      const std::string_view nearest =
          option || command ? settings::nearest_name(name, views) : std::string_view();
      if (!nearest.empty()) {
        text += fmt::format(" (did you mean {}?)", nearest);
      } else if (option && !slots_.empty()) {
        text += fmt::format("; if it is the {}, put it behind --: {} -- '{}'",
                            slots_.front()->get_single_name(), command_path(*at_), word);
      }
      tell(std::move(text));
      if (!option) break;  // what follows one stray word says nothing new
    }
  }

  void tell_missing_command() {
    if (!out_.problem.empty() || at_->get_require_subcommand_min() == 0) return;
    std::vector<std::string> names;
    for (const CLI::App* command : commands_of(*at_)) names.push_back(command->get_name());
    tell(fmt::format("give one of the commands {}", fmt::join(names, ", ")));
  }

  CLI::App* at_;
  const std::span<const std::string> words_;
  std::size_t next_ = 0;
  bool options_ended_ = false;
  struct Unknown {
    std::string word;
    bool option;
    const CLI::App* at;  // the command that it stood behind
  };
  std::vector<std::string> line_, positional_;
  std::vector<const CLI::Option*> slots_, given_;
  std::vector<Unknown> unknown_;
  CommandLine out_;
};

}  // namespace

CommandLine read_command_line(CLI::App& app, std::span<const std::string> words) {
  take_one_value_each(app);
  return Reader(app, words).read();
}

CLI::Validator count_from_to(std::uint64_t min, std::uint64_t max) {
  return CLI::Validator(
      [min, max](std::string& text) -> std::string {
        std::uint64_t count = 0;
        const char* end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data(), end, count);
        if (error == std::errc() && rest == end && count >= min && count <= max) return "";
        return fmt::format("expected an integer from {} to {}, found '{}'", min, max, text);
      },
      "");
}

std::string command_path(const CLI::App& command) {
  std::string path = command.get_name();
  for (const CLI::App* above = command.get_parent(); above != nullptr; above = above->get_parent())
    path = above->get_name() + " " + path;
  return path;
}

}  // namespace ollm::cli
