// Runs the built `ollm` as a user would: arguments and standard input in, output and exit code out.
#pragma once

#include <string>

namespace ollm::testing {

struct CommandResult {
  int exit_code = -1;
  std::string out;  // stdout
  std::string err;  // stderr
};

/// `arguments` as typed in a shell; `input` on standard input.
CommandResult run_ollm(const std::string& arguments, const std::string& input = "");

/// The same of a shell script, in which "$OLLM" is the program.
CommandResult run_shell(const std::string& script, const std::string& input = "");

/// The program with `folder` as working directory and home, and its hub/ as Hugging Face's cache.
CommandResult run_ollm_at_home(const std::string& folder, const std::string& arguments);

/// The shipped model's folder.
inline const std::string kShippedModel = "examples/models/clerk";

}  // namespace ollm::testing
