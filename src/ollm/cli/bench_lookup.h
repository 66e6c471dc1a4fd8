// ollm bench lookup: what guessing brings on answers that were recorded.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "ollm/cli/command.h"
#include "ollm/cli/command_line.h"
#include "ollm/cli/settings_flags.h"

namespace ollm::cli {

/// The subcommand of `ollm bench`.
class BenchLookup {
 public:
  explicit BenchLookup(CLI::App& bench);
  bool parsed() const { return app_->parsed(); }
  Outcome run();

 private:
  CLI::App* app_ = nullptr;
  std::unique_ptr<SettingsFlags> flags_;
  std::string recorded_ = "bench/lookup/answers.jsonl";
  std::size_t most_tokens_ = 0;
  std::size_t tokens_without_ = 16;
  bool json_ = false;
};

}  // namespace ollm::cli
