// The command line: parses, runs one command, turns its error into words and an exit code.
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ollm/cli/command.h"
#include "ollm/cli/command_line.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/help.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

int usage_error(const CLI::App& app, const std::string& message) {
  print_error(fail(ErrorKind::invalid_argument, message));
  std::fprintf(stderr, "try '%s --help'\n", command_path(app).c_str());
  return kExitUsage;
}

// --version on every level, as --help is.
void add_version(CLI::App& app) {
  app.set_version_flag("-V,--version", fmt::format("ollm {}", version()),
                       "Print the version and exit");
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    add_version(*command);
}

// The descriptor of a stream that the caller closed would be that of the next file we open, and
// what we print would go into it. So it is held, in the mode in which its use fails.
void hold_standard_streams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    const int mode = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", mode) != descriptor) return;  // no /dev/null: as it was
  }
}

int run(int argc, char** argv) {
  CLI::App app{"Runs language models larger than memory, over long contexts, at full precision"};
  app.name("ollm");
  use_help_form(app);
  app.require_subcommand(0, 1);
  std::map<CLI::App*, std::function<Outcome()>> actions;
  for (const Command* command : commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command->name), std::string(command->summary));
    actions[sub] = command->set_up(*sub);
  }
  add_version(app);
  CommandLine line =
      read_command_line(app, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  CLI::App& command = *line.command;
  if (line.help) {
    std::fputs(help_of(command).c_str(), stdout);
    return 0;
  }
  if (line.version) {
    std::fputs((app.version() + "\n").c_str(), stdout);
    return 0;
  }
  if (!line.problem.empty()) return usage_error(command, line.problem);
  if (&command == &app) {
    std::fputs(help_of(app).c_str(), stderr);
    return kExitUsage;
  }
  try {
    app.parse(line.words);
  } catch (const CLI::ParseError& error) {
    return usage_error(command, error.what());
  }
  const Outcome outcome = actions[app.get_subcommands().front()]();
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
  // A file beyond `ulimit -f` is an error of its write, told and cleaned up after.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    ollm::cli::hold_standard_streams();
    return ollm::cli::finish_output(ollm::cli::run(argc, argv));
  } catch (const std::bad_alloc&) {
    std::fputs("ollm: error: the system has no memory left\n", stderr);
    return ollm::cli::exit_code(ollm::ErrorKind::out_of_budget);
  } catch (const std::exception& error) {
    const ollm::Error internal =
        ollm::fail(ollm::ErrorKind::internal, std::string("internal: ") + error.what());
    ollm::cli::print_error(internal);
    return ollm::cli::exit_code(internal.kind);
  }
}
