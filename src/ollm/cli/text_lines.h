// Commands that answer line by line: one JSON object a line in, one a line out, whatever happens.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/cli/command.h"
#include "ollm/ollm.h"

namespace ollm::cli {

/// The answer to one line, or what was wrong with it.
using AnswerLine =
    std::function<nlohmann::ordered_json(const Text& text, const nlohmann::ordered_json& line)>;

/// Sets up a command MODEL --jsonl that answers standard input with `answer`.
std::function<Outcome()> set_up_lines(CLI::App& app, AnswerLine answer);

}  // namespace ollm::cli
