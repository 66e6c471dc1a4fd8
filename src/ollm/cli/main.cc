// The command line: parses, runs one command, turns its error into words and an exit code.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ollm/cli/command.h"
#include "ollm/cli/exit_code.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

std::string_view without_value(std::string_view flag) { return flag.substr(0, flag.find('=')); }

bool is_flag(std::string_view word) { return word.starts_with("-"); }

// "unknown option '--memroy' (did you mean --memory?)".
std::string unknown_words(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const std::vector<std::string_view> views(names.begin(), names.end());
  // An unknown option leaves its value over, which says nothing new.
  const bool any_flag = std::any_of(words.begin(), words.end(), is_flag);
  std::string text;
  for (const std::string& word : words) {
    const bool flag = is_flag(word);
    if (any_flag && !flag) continue;
    text += fmt::format("{}unknown {} '{}'", text.empty() ? "" : "; ", flag ? "option" : "argument",
                        word);
    const std::string_view nearest = plan::nearest_name(without_value(word), views);
    if (!nearest.empty()) text += fmt::format(" (did you mean {}?)", nearest);
    if (!flag) break;  // what follows one stray word says nothing new
  }
  return text;
}

int usage_error(const CLI::App& app, const std::string& message) {
  std::string name = app.get_name();
  for (const CLI::App* above = app.get_parent(); above != nullptr; above = above->get_parent())
    name = above->get_name() + " " + name;
  print_error(fail(ErrorKind::invalid_argument, message));
  std::fprintf(stderr, "try '%s --help'\n", name.c_str());
  return kExitUsage;
}

// The innermost command that the words named.
CLI::App& chosen_command(CLI::App& app) {
  CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

// --version on every level, as --help is.
void add_version(CLI::App& app) {
  app.set_version_flag("--version", fmt::format("ollm {}", version()),
                       "Print the version and exit");
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    add_version(*command);
}

int run(int argc, char** argv) {
  CLI::App app{"Runs language models larger than memory, over long contexts, at full precision"};
  app.name("ollm");
  app.require_subcommand(0, 1);
  std::map<CLI::App*, std::function<Outcome()>> actions;
  for (const Command* command : commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command->name), std::string(command->summary));
    sub->allow_extras();  // collected, so that an unknown one can be answered with the nearest
    actions[sub] = command->set_up(*sub);
  }
  add_version(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::CallForVersion& words) {
    std::fprintf(stdout, "%s\n", words.what());
    return 0;
  } catch (const CLI::ExtrasError&) {
    return usage_error(app, unknown_words(app, app.remaining()));
  } catch (const CLI::ParseError& error) {
    const CLI::App& at = chosen_command(app);
    const std::vector<std::string> words = at.remaining();
    return usage_error(at, words.empty() ? error.what() : unknown_words(at, words));
  }
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  if (chosen.empty()) {
    std::fputs(app.help().c_str(), stderr);
    return kExitUsage;
  }
  const CLI::App& at = chosen_command(app);
  if (!at.remaining().empty()) return usage_error(at, unknown_words(at, at.remaining()));
  const Outcome outcome = actions[chosen.front()]();
  if (outcome.ok()) return *outcome;
  print_error(outcome.error());
  return exit_code(outcome.error().kind);
}

}  // namespace
}  // namespace ollm::cli

int main(int argc, char** argv) {
  // One arena, and large pieces mapped and given back one by one: what malloc holds is then what is
  // in use, as the plan's ledger counts it.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 128 << 10);
  // Who reads our output may stop at any time (`ollm prompt ... | head`), and then we end without a
  // word. A parent that ignores the signal would hand that down, and we would go on for nobody.
  std::signal(SIGPIPE, SIG_DFL);
  try {
    return ollm::cli::finish_output(ollm::cli::run(argc, argv));
  } catch (const std::bad_alloc&) {
    std::fputs("ollm: error: the system has no memory left\n", stderr);
    return 4;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ollm: error: internal: %s\n", error.what());
    return 1;
  }
}
