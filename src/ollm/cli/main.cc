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

// "unknown option '--memroy'; the nearest is --memory".
std::string unknown_words(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const std::vector<std::string_view> views(names.begin(), names.end());
  std::string text;
  for (const std::string& word : words) {
    const bool flag = word.starts_with("-");
    text += fmt::format("{}unknown {} '{}'", text.empty() ? "" : "; ", flag ? "option" : "argument",
                        word);
    const std::string_view nearest = plan::nearest_name(without_value(word), views);
    if (!nearest.empty()) text += fmt::format(" (did you mean {}?)", nearest);
    if (!flag) break;  // what follows one stray word says nothing new
  }
  return text;
}

int usage_error(const CLI::App& app, const std::string& message) {
  std::string name = "ollm";
  if (app.get_parent() != nullptr) name += " " + app.get_name();
  print_error(fail(ErrorKind::invalid_argument, message));
  std::fprintf(stderr, "try '%s --help'\n", name.c_str());
  return kExitUsage;
}

int run(int argc, char** argv) {
  CLI::App app{"Runs language models larger than memory, over long contexts, at full precision"};
  app.name("ollm");
  app.set_version_flag("--version", std::string("ollm ") + std::string(version()));
  app.require_subcommand(0, 1);
  std::map<CLI::App*, std::function<Outcome()>> actions;
  for (const Command* command : commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command->name), std::string(command->summary));
    sub->allow_extras();  // collected, so that an unknown one can be answered with the nearest
    actions[sub] = command->set_up(*sub);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::CallForVersion&) {
    std::fprintf(stdout, "ollm %s\n", std::string(version()).c_str());
    return 0;
  } catch (const CLI::ExtrasError&) {
    return usage_error(app, unknown_words(app, app.remaining()));
  } catch (const CLI::ParseError& error) {
    CLI::App* at = &app;
    for (CLI::App* sub : app.get_subcommands()) at = sub;
    return usage_error(*at, error.what());
  }
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  if (chosen.empty()) {
    std::fputs(app.help().c_str(), stderr);
    return kExitUsage;
  }
  CLI::App* at = chosen.front();
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  if (!at->remaining().empty()) return usage_error(*at, unknown_words(*at, at->remaining()));
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
