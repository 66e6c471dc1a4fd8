// ollm plan: what would run, why, in how much memory and how fast. Loads nothing.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ollm/base/text_size.h"
#include "ollm/cli/command.h"
#include "ollm/cli/command_line.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

class PlanCommand {
 public:
  explicit PlanCommand(CLI::App& app) : settings_flags_(app, {"runtime", "generation"}, true) {
    app.add_option("--prompt-tokens", prompt_tokens_, "Tokens of the prompt: 20000, 32k")
        ->type_name("tokens");
    app.add_option("--sequences", sequences_,
                   "Sequences at once; 1 by default, with --requests as many as pay")
        ->type_name("count")
        ->check(count_from_to(1, 1 << 16));
    app.add_option("--requests", requests_, "Requests in all, each with those tokens")
        ->type_name("count")
        ->check(count_from_to(1, std::uint64_t{1} << 40));
    add_allowances(app, allowances_);
    app.add_flag("--explain", explain_, "Print the plan in sentences (the default)");
    app.add_flag("--json", json_, "Print the plan as JSON");
  }

  Outcome run() {
    OLLM_TRY(const Settings settings, settings_flags_.load());
    if (explain_ && json_)
      return fail(ErrorKind::invalid_argument,
                  "--explain prints sentences, --json does not: give one");
    Workload workload;
    workload.requests = requests_.value_or(0);
    workload.sequences = sequences_.value_or(requests_ ? 0 : 1);
    if (!prompt_tokens_.empty()) {
      Result<std::uint64_t> tokens = parse_tokens(prompt_tokens_);
      if (!tokens.ok()) return std::move(tokens).error().within("--prompt-tokens");
      workload.prompt_tokens = *tokens;
    }
    if (settings.given("generation.max_new_tokens"))
      workload.max_new_tokens = static_cast<std::size_t>(settings.generation.max_new_tokens);
    if (prompt_tokens_.empty()) workload.context_tokens = kAssumedContextTokens;
    OLLM_TRY(const Plan plan, make_plan(settings, workload, allowances_));
    if (json_) {
      print_json(plan.json());
    } else {
      print_words(stdout, plan.explain());
    }
    return 0;
  }

 private:
  SettingsFlags settings_flags_;
  std::string prompt_tokens_;
  std::optional<std::size_t> sequences_, requests_;
  Allowances allowances_;
  bool explain_ = false, json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<PlanCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kPlan{
    .name = "plan", .summary = "Say what would run, without loading it", .set_up = set_up};

}  // namespace ollm::cli
