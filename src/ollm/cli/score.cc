// ollm score: how likely a model finds given tokens, and its logits.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/cli/command.h"
#include "ollm/cli/command_line.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/input.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

class ScoreCommand {
 public:
  explicit ScoreCommand(CLI::App& app) : settings_flags_(app, {"runtime"}, true) {
    ids_ = app.add_option("--ids", ids_text_, "Token ids: 1,2,3")->type_name("ids");
    ids_file_ = app.add_option("--ids-file", ids_path_, "Rows {\"id\", \"ids\"}, one a line")
                    ->type_name("path");
    text_ = app.add_option("--text", text_text_, "A text, as it is")->type_name("text");
    file_ = app.add_option("--file", file_path_, "A text file, as it is")->type_name("path");
    app.add_option("--logits", options_.logits_path, "Where logits go, as safetensors")
        ->type_name("path");
    app.add_option("--batch", options_.batch, "Rows in one sweep")
        ->type_name("count")
        ->check(count_from_to(1, 1 << 16))
        ->capture_default_str();
    app.add_flag("--last", options_.last_only, "Logits of the last position only");
    add_allowances(app, allowances_);
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Outcome run() {
    OLLM_TRY(const Settings settings, settings_flags_.load());
    std::optional<Text> text;
    OLLM_TRY_VOID(check_logits_path(settings));
    OLLM_TRY(const std::vector<ScoreRow> rows, read_rows(settings, text));
    if (rows.empty()) return fail(ErrorKind::invalid_argument, "there are no rows to score");
    Workload workload;
    for (const ScoreRow& row : rows) {
      workload.prompt_tokens = std::max(workload.prompt_tokens, row.ids.size());
      workload.total_tokens += row.ids.size();
    }
    workload.caller_bytes = rows.size() * options_.row_bytes();
    ScoreOptions options = options_;
    options.batch = std::min(options.batch, rows.size());
    workload.sequences = options.batch;
    workload.all_logits = !options.last_only;
    OLLM_TRY(const Plan plan, make_plan(settings, workload, allowances_));

    const CancellationToken& cancel = cancel_on_interrupt();
    const Verbosity words = verbosity(settings);
    say_plan(plan, words);
    ProgressLine progress(words);
    OLLM_TRY(const Runtime runtime, Runtime::load(plan, std::move(text), progress, &cancel));
    OLLM_TRY(const ScoreResult result, runtime.score(rows, options, progress, &cancel));
    progress.clear();
    if (json_) {
      print_object(result);
    } else {
      for (const ScoredRow& row : result.rows) {
        print_words(logits_on_stdout() ? stderr : stdout,
                    fmt::format("{}\t{} tokens\tperplexity {}\n", row.id, row.tokens,
                                row.perplexity ? fmt::format("{:.4f}", *row.perplexity) : "-"));
      }
    }
    std::fflush(stdout);
    if (words != Verbosity::quiet) print_words(stderr, report_line(result.report) + "\n");
    warn_of_what_is_not_kept(runtime, words);
    return 0;
  }

 private:
  // Logits are not written over what is read, and share standard output with nothing else.
  Result<void> check_logits_path(const Settings& settings) const {
    std::error_code ignored;
    const std::filesystem::path config = settings.config_file.value_or(std::filesystem::path());
    for (const std::filesystem::path& input :
         {std::filesystem::path(ids_path_), std::filesystem::path(file_path_), config}) {
      if (input.empty() || !std::filesystem::is_regular_file(input, ignored) ||
          !std::filesystem::equivalent(options_.logits_path, input, ignored))
        continue;
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("--logits {}: is what is read; give another path", options_.logits_path));
    }
    if (json_ && logits_on_stdout())
      return fail(ErrorKind::invalid_argument,
                  "--json prints on standard output, where --logits goes: give one");
    return {};
  }

  bool logits_on_stdout() const {
    std::error_code ignored;
    return !options_.logits_path.empty() &&
           !std::filesystem::is_character_file(options_.logits_path, ignored) &&
           std::filesystem::equivalent(options_.logits_path, "/dev/stdout", ignored);
  }

  Result<std::vector<ScoreRow>> read_rows(const Settings& settings,
                                          std::optional<Text>& opened) const {
    const std::size_t sources =
        ids_->count() + ids_file_->count() + text_->count() + file_->count();
    if (sources != 1) {
      return fail(ErrorKind::invalid_argument, "give one of --ids, --ids-file, --text and --file");
    }
    if (ids_->count() > 0) {
      OLLM_TRY(std::vector<TokenId> ids, parse_ids(ids_text_));
      return std::vector<ScoreRow>{{"0", std::move(ids)}};
    }
    if (ids_file_->count() > 0) {
      // What the process itself takes is left out; the plan counts exactly, once they are read.
      constexpr std::int64_t kProcess = std::int64_t{20} << 20;
      const std::int64_t granted = settings.runtime.memory.value_or(std::int64_t{1} << 40);
      return read_id_rows(ids_path_,
                          static_cast<std::size_t>(std::max<std::int64_t>(0, granted - kProcess)),
                          options_.row_bytes());
    }
    std::string text = text_text_;
    const std::size_t known = file_->count() > 0 ? known_bytes(file_path_) : 0;
    OLLM_TRY_VOID(check_text_fits(settings, allowances_, known));
    if (file_->count() > 0) {
      OLLM_TRY(text, read_text_file(file_path_, input_limit(settings)));
    }
    if (known == 0) OLLM_TRY_VOID(check_text_fits(settings, allowances_, text.size()));
    OLLM_TRY(opened, open_text_to_run(settings, allowances_));
    OLLM_TRY(std::vector<TokenId> ids, opened->encode(text, {}));
    return std::vector<ScoreRow>{{"0", std::move(ids)}};
  }

  // Row by row: one value of all of them would hold many times what they are.
  static void print_object(const ScoreResult& result) {
    print_json("{\"rows\": [");
    for (const ScoredRow& row : result.rows) {
      const Json one = {{"id", row.id},
                        {"tokens", row.tokens},
                        {"log_probs", row.log_probs},
                        {"perplexity", row.perplexity ? Json(*row.perplexity) : Json()}};
      print_json(one.dump(-1, ' ', false, Json::error_handler_t::replace) +
                 (&row == &result.rows.back() ? "" : ","));
    }
    print_json("], \"report\": " + result.report.as_dict().json() + "}");
  }

  SettingsFlags settings_flags_;
  CLI::Option *ids_, *ids_file_, *text_, *file_;
  std::string ids_text_, ids_path_, text_text_, file_path_;
  ScoreOptions options_;
  Allowances allowances_;
  bool json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<ScoreCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kScore{.name = "score", .summary = "Score tokens, write logits", .set_up = set_up};

}  // namespace ollm::cli
