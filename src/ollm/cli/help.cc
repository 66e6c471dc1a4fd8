// ollm help: the help of a command by its name. And the form of all help.
#include "ollm/cli/help.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "ollm/cli/command.h"
#include "ollm/cli/command_line.h"
#include "ollm/cli/command_tree.h"
#include "ollm/cli/terminal.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

constexpr std::size_t kNameColumns = 30;
constexpr std::size_t kLeastTextColumns = 30;

// A text in lines of `columns`; words stay whole.
std::string wrapped(std::string_view text, std::size_t columns) {
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (used != 0 && used + 1 + word.size() > columns) {
      out += '\n';
      used = 0;
    }
    if (used != 0) out += ' ';
    out += word;
    used += word.size() + (used != 0 ? 1 : 0);
  }
  return out;
}

class HelpForm : public CLI::Formatter {
 public:
  HelpForm() {
    column_width(kNameColumns);
    const std::size_t columns = output_columns();
    text_columns_ = std::max(columns, kNameColumns + kLeastTextColumns + 1) - kNameColumns - 1;
  }

  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    const OptionEntry entry = option_entry(*option);
    if (positional) return entry.names.front();
    return fmt::format("{}", fmt::join(entry.names, ","));
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    const OptionEntry entry = option_entry(*option);
    std::string out;
    if (!entry.value.empty() && !entry.positional) out += " " + entry.value;
    if (entry.repeats) out += " ...";
    if (option->get_required()) out += " REQUIRED";
    return out;
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    const OptionEntry entry = option_entry(*option);
    std::string out = wrapped(entry.summary, text_columns_);
    for (const std::string& note : notes_of(entry)) out += "\n" + wrapped(note, text_columns_);
    return out;
  }

 private:
  std::size_t text_columns_;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto words = std::make_shared<std::vector<std::string>>();  // shared: std::function is copied
  app.add_option("COMMAND", *words, "The command, and one below it: config show");
  return [words, &app]() -> Outcome {
    CLI::App& root = *app.get_parent();
    words->emplace_back("--help");
    const CommandLine line = read_command_line(root, *words);
    if (!line.problem.empty()) return fail(ErrorKind::invalid_argument, line.problem);
    std::fputs(help_of(*line.command).c_str(), stdout);
    return 0;
  };
}

}  // namespace

void use_help_form(CLI::App& app) { app.formatter(std::make_shared<HelpForm>()); }

std::string help_of(const CLI::App& command) {
  // Not App::help(), which goes on to the command that was parsed.
  return command.get_formatter()->make_help(&command, command_path(command),
                                            CLI::AppFormatMode::Normal);
}

const Command kHelp{.name = "help", .summary = "Print the help of a command", .set_up = set_up};

}  // namespace ollm::cli
