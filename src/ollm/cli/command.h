// What a command is, and the list of them. Help, `ollm` without arguments and the tests that run
// for every command are made from the list.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ollm/base/result.h"

namespace ollm::cli {

/// What a command ends with: the exit code, or the error that gives it.
using Outcome = Result<int>;

/// What a person asked for that cannot be.
inline Error usage(std::string message) {
  return fail(ErrorKind::invalid_argument, std::move(message));
}

/// One command: a file cli/<name>.cc and a line in commands.cc.
struct Command {
  std::string_view name;
  std::string_view summary;
  /// Declares the options on its app; what it returns runs after they were parsed.
  std::function<Outcome()> (*set_up)(CLI::App& app);
};

std::span<const Command* const> commands();

extern const Command kBatch, kBench, kCache, kChat, kCompletions, kConfig, kDetokenize, kDoctor,
    kHelp, kMan, kModels, kPlan, kPrompt, kRender, kScore, kServe, kTokenize;

}  // namespace ollm::cli
