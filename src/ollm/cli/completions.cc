// ollm completions: the completions of one shell, on standard output. Not shown in --help: packages
// install what it prints.
#include "ollm/cli/completions.h"

#include <cstdio>
#include <memory>

#include "ollm/cli/command.h"

namespace ollm::cli {
namespace {

std::function<Outcome()> set_up(CLI::App& app) {
  app.group("");
  auto shell = std::make_shared<std::string>();  // shared: std::function is copied
  app.add_option("SHELL", *shell, "bash, zsh or fish")->required();
  return [shell, &app]() -> Outcome {
    const CommandEntry root = command_tree(*app.get_parent());
    std::string text;
    if (*shell == "bash") {
      text = bash_completions(root);
    } else if (*shell == "zsh") {
      text = zsh_completions(root);
    } else if (*shell == "fish") {
      text = fish_completions(root);
    } else {
      return fail(ErrorKind::invalid_argument,
                  "expected bash, zsh or fish as the shell, found '" + *shell + "'");
    }
    std::fputs(text.c_str(), stdout);
    return 0;
  };
}

}  // namespace

const Command kCompletions{
    .name = "completions", .summary = "Print the completions of a shell", .set_up = set_up};

}  // namespace ollm::cli
