// ollm batch: a file of requests in OpenAI's form, and a file of answers that can be gone on with.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/base/json_cursor.h"
#include "ollm/base/value_document.h"
#include "ollm/cli/batch_input.h"
#include "ollm/cli/batch_output.h"
#include "ollm/cli/batch_run.h"
#include "ollm/cli/command.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/input.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"
#include "ollm/ollm.h"
#include "ollm/openai/fingerprint.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

// What is asked of the model in all, as far as a plan depends on it.
struct Demand {
  std::size_t requests = 0;         // that are to be answered
  std::size_t answers = 0;          // to all of their prompts
  std::uint64_t prompt_tokens = 0;  // of all answers
  std::uint64_t new_tokens = 0;     // at most
  std::size_t longest = 2;          // tokens of a prompt and its answer
  std::size_t row_bytes = 0;        // of the longest row
};

class BatchCommand {
 public:
  explicit BatchCommand(CLI::App& app) : settings_flags_(app, {"runtime", "generation"}, false) {
    app.add_option("-i,--input", input_path_, "Requests, one a line")
        ->type_name("path")
        ->required();
    app.add_option("-o,--output", output_path_,
                   "Answers, one a line; those that stand there are kept")
        ->type_name("path")
        ->required();
    app.add_flag("--overwrite", overwrite_, "Begin the answers anew");
    app.add_option("--shard", shard_text_, "Of N machines with one file of requests this is I: I/N")
        ->type_name("i/n");
    add_allowances(app, allowances_);
    app.add_flag("--json", json_, "Print one JSON object at the end");
  }

  Outcome run() {
    OLLM_TRY(settings_, settings_flags_.load());
    if (!shard_text_.empty()) {
      OLLM_TRY(shard_, Shard::parse(shard_text_));
    }
    defaults_ = generate_options(settings_);
    warn_of_what_is_idle();
    const CancellationToken& cancel = cancel_on_interrupt();
    ProgressLine progress(verbosity(settings_));
    OLLM_TRY(BatchInput input, BatchInput::open(input_path_));
    OLLM_TRY_VOID(read_index(input, progress));
    OLLM_TRY_VOID(open_model());
    OLLM_TRY(BatchOutput output, open_output());
    OLLM_TRY(const Demand demand, read_demand(input, progress, cancel));
    OLLM_TRY(const Plan plan, plan_for(demand));
    OLLM_TRY_VOID(plan.check());
    OLLM_TRY(const std::string model, plan.fingerprint(progress, &cancel));
    fingerprint_ = openai::system_fingerprint(model, defaults_);
    OLLM_TRY_VOID(check_kept_fingerprint());
    progress.clear();
    BatchTotals totals;
    totals.report.bound_by = plan.execution_plan()->estimate.bound_by;
    if (demand.requests > 0) {
      say_plan(plan, verbosity(settings_));
      OLLM_TRY(const Runtime runtime, Runtime::load(plan, text_, progress, &cancel));
      OLLM_TRY_VOID(answer_all(input, output, runtime, progress, cancel, totals));
      OLLM_TRY_VOID(output.sync());
      progress.clear();
      warn_of_what_is_not_kept(runtime, verbosity(settings_));
    }
    print_end(totals);
    return totals.failed == 0 ? 0 : 1;
  }

 private:
  void warn_of_what_is_idle() const {
    if (!settings_.runtime.quiet && settings_.given("generation.seed"))
      print_warning("a request without a seed has one of its own: the setting has no effect");
  }

  // Who the requests are; each custom_id once.
  Result<void> read_index(BatchInput& input, ProgressLine& progress) {
    for (;;) {
      OLLM_TRY(const std::optional<NumberedRow> row, input.next());
      if (!row) break;
      index_.add(row->row, shard_.has(row->row.custom_id));
      progress.show([&] { return fmt::format("reading requests, row {}", row->number); });
    }
    const auto twice = index_.finish();
    if (!twice) return {};
    input.rewind();
    std::size_t first = 0;
    for (std::size_t place = 0;; ++place) {
      OLLM_TRY(const std::optional<NumberedRow> row, input.next());
      if (!row) return changed(input);
      if (place == twice->first) first = row->number;
      if (place != twice->second) continue;
      return usage(fmt::format("{}: rows {} and {} have one custom_id, {}", input_path_, first,
                               row->number, quote_name(row->row.custom_id.value_or(""))));
    }
  }

  Result<BatchOutput> open_output() {
    std::error_code ignored;
    if (std::filesystem::equivalent(input_path_, output_path_, ignored))
      return usage(fmt::format("{}: is what is read; give another path for answers", output_path_));
    OLLM_TRY(BatchOutput output, BatchOutput::open(output_path_));
    if (overwrite_) {
      OLLM_TRY_VOID(output.clear());
      return output;
    }
    OLLM_TRY_VOID(output.read_back(
        [&](const openai::AnswerHead& answer, std::size_t line) { return stays(answer, line); }));
    return output;
  }

  // Whether an answer of an earlier run is one of ours that need not be run again.
  Result<bool> stays(const openai::AnswerHead& answer, std::size_t line) {
    constexpr int kServerErrors = 500;
    if (answer.status && *answer.status >= kServerErrors) return false;
    const auto refused = [&](std::string_view why) {
      const std::string name =
          answer.custom_id ? quote_name(*answer.custom_id) : "a row without a name";
      return usage(fmt::format("{}: line {} answers {}, {}; --overwrite begins anew", output_path_,
                               line, name, why));
    };
    switch (index_.keep(answer)) {
      case BatchIndex::Match::edited:
        return refused(fmt::format("which {} has otherwise by now", input_path_));
      case BatchIndex::Match::unknown:
        return refused(fmt::format("which {} does not have", input_path_));
      case BatchIndex::Match::twice:
        return refused("which an earlier line does, too");
      case BatchIndex::Match::kept:
      case BatchIndex::Match::of_others:
        break;
    }
    if (!answer.system_fingerprint.empty() && !kept_fingerprint_)
      kept_fingerprint_ = {answer.system_fingerprint, line};
    if (kept_fingerprint_ && !answer.system_fingerprint.empty() &&
        answer.system_fingerprint != kept_fingerprint_->name)
      return refused(fmt::format("by {}, and line {} is by {}", answer.system_fingerprint,
                                 kept_fingerprint_->line, kept_fingerprint_->name));
    return true;
  }

  Result<void> check_kept_fingerprint() const {
    if (!kept_fingerprint_ || kept_fingerprint_->name == fingerprint_) return {};
    return usage(fmt::format(
        "{}: line {} is by {}, and this is {}: another model, mode or settings of sampling; "
        "--overwrite begins anew",
        output_path_, kept_fingerprint_->line, kept_fingerprint_->name, fingerprint_));
  }

  // What requests are checked against before the model is planned with them. A model without a
  // tokenizer runs on ids.
  Result<void> open_model() {
    OLLM_TRY(const Plan plan,
             make_plan(settings_, {.prompt_tokens = 1, .max_new_tokens = 1}, allowances_));
    OLLM_TRY_VOID(plan.check());
    const EffectiveConfig& model = plan.execution_plan()->model;
    Result<Text> text = Text::open(settings_);
    if (text.ok()) {
      text_ = std::move(text).value();
    } else if (text.error().kind != ErrorKind::not_found) {
      return std::move(text).error();
    }
    served_.reference = settings_.runtime.model_reference;
    served_.text = text_ ? &*text_ : nullptr;
    served_.vocabulary = model.vocab_size;
    served_.context_tokens = model.usable_positions;
    if (settings_.runtime.context)
      served_.context_tokens =
          std::min(served_.context_tokens, static_cast<std::size_t>(*settings_.runtime.context));
    // Which frequencies are taken depends on the planned context, and with them every bit.
    const std::string& rotary = model.rope_parameters.rope_type;
    context_counts_ = rotary == "longrope" || rotary == "dynamic";
    return {};
  }

  // The longest request. Of what is answered, or is for others, only where it counts.
  Result<Demand> read_demand(BatchInput& input, ProgressLine& progress,
                             const CancellationToken& cancel) {
    Demand demand;
    input.rewind();
    for (std::size_t place = 0;; ++place) {
      OLLM_TRY_VOID(cancel.check());
      OLLM_TRY(const std::optional<NumberedRow> row, input.next());
      if (!row) return demand;
      if (!index_.is(place, row->row)) return changed(input);
      const bool pending = index_.state(place) == BatchIndex::State::pending;
      if (!pending && !context_counts_) continue;
      if (pending) ++demand.requests;
      if (row->bytes > demand.row_bytes) {
        OLLM_TRY_VOID(check_text_fits(settings_, allowances_, row->bytes));
        demand.row_bytes = row->bytes;
      }
      progress.show([&] { return fmt::format("measuring requests, row {}", row->number); });
      ReadyRequest ready;
      if (!row->row.custom_id || prepare(row->row, served_, defaults_, ready)) continue;
      for (const std::vector<TokenId>& ids : ready.ids) {
        const std::size_t max_new = ready.request.options.max_new_tokens;
        demand.longest = std::max(demand.longest, ids.size() + max_new);
        if (!pending) continue;
        demand.answers += ready.request.n;
        demand.prompt_tokens += ready.request.n * ids.size();
        demand.new_tokens += ready.request.n * max_new;
      }
    }
  }

  // As many lines at once as pay, for answers as they are on average; each line has room for the
  // longest.
  Result<Plan> plan_for(const Demand& demand) const {
    constexpr std::size_t kMostPlanned = std::size_t{1} << 30;
    Workload workload;
    workload.sequences = 0;
    workload.requests = std::clamp<std::size_t>(demand.answers, 1, kMostPlanned);
    const std::size_t answers = std::max<std::size_t>(demand.answers, 1);
    workload.prompt_tokens = std::max<std::size_t>(demand.prompt_tokens / answers, 1);
    workload.max_new_tokens = demand.new_tokens / answers;
    workload.context_tokens = std::min(demand.longest, served_.context_tokens);
    // A row as text, as values and on its way to ids, one at a time; and who all of them are.
    constexpr std::size_t kRowFactor = 20;
    workload.caller_bytes = index_.size() * BatchIndex::kRowBytes + demand.row_bytes * kRowFactor;
    return make_plan(settings_, workload, allowances_);
  }

  Result<void> answer_all(BatchInput& input, BatchOutput& output, const Runtime& runtime,
                          ProgressLine& progress, const CancellationToken& cancel,
                          BatchTotals& totals) {
    const std::size_t lines = runtime.execution_plan().kv.sequences;
    BatchRun run(runtime, served_, defaults_, fingerprint_, lines, cancel, totals);
    const auto take = [&](std::string_view line) { return output.append(line); };
    const std::size_t pending = index_.count(BatchIndex::State::pending);
    const double begin_s = monotonic_seconds();
    input.rewind();
    bool more = true;
    for (std::size_t place = 0; more || !run.idle();) {
      OLLM_TRY_VOID(cancel.check());
      for (; more && run.has_room(); ++place) {
        OLLM_TRY(std::optional<NumberedRow> row, input.next());
        more = row.has_value();
        if (!more) break;
        if (!index_.is(place, row->row)) return changed(input);
        if (index_.state(place) != BatchIndex::State::pending) continue;
        if (row->row.custom_id) {
          OLLM_TRY_VOID(run.begin(std::move(row->row), take));
        } else {
          OLLM_TRY_VOID(output.append(openai::problem_line(row->row, row->number)));
          ++totals.done;
        }
      }
      OLLM_TRY_VOID(run.step(take));
      progress.show([&] {
        return progress_text(totals.done + totals.failed, pending, totals.tokens,
                             monotonic_seconds() - begin_s);
      });
    }
    const double seconds = monotonic_seconds() - begin_s;
    if (seconds > 0) {
      Report& report = totals.report;
      report.prefill_tokens_per_second =
          static_cast<double>(report.prompt_tokens - report.cached_tokens) / seconds;
      report.decode_tokens_per_second = static_cast<double>(report.new_tokens) / seconds;
    }
    return {};
  }

  static std::string progress_text(std::size_t done, std::size_t all, std::uint64_t tokens,
                                   double seconds) {
    std::string text = fmt::format("{} of {} requests, {:.1f} tok/s", done, all,
                                   static_cast<double>(tokens) / seconds);
    if (done > 0) {
      const double left =
          seconds / static_cast<double>(done) * static_cast<double>(all - std::min(done, all));
      text += fmt::format(", {} left", format_seconds(left));
    }
    return text;
  }

  Error changed(const BatchInput& input) const {
    return usage(fmt::format("{}: was changed while it was read", input.path().string()));
  }

  void print_end(const BatchTotals& totals) const {
    const std::size_t kept = index_.count(BatchIndex::State::kept);
    const std::size_t requests = kept + totals.done + totals.failed;
    if (json_) {
      const Json out = {{"requests", requests},
                        {"kept", kept},
                        {"done", totals.done},
                        {"failed", totals.failed},
                        {"report", json_of(totals.report.as_dict())}};
      print_json(json_dump(out, kJsonIndent));
    }
    if (settings_.runtime.quiet) return;
    print_words(stderr,
                fmt::format("{} requests: {} kept, {} done, {} failed | {} tokens read, {} "
                            "from the cache | {} made at {:.1f} tok/s\n",
                            requests, kept, totals.done, totals.failed, totals.report.prompt_tokens,
                            totals.report.cached_tokens, totals.report.new_tokens,
                            totals.report.decode_tokens_per_second));
  }

  struct KeptFingerprint {
    std::string name;
    std::size_t line = 0;
  };

  SettingsFlags settings_flags_;
  std::string input_path_, output_path_, shard_text_;
  Allowances allowances_;
  bool overwrite_ = false, json_ = false;

  Settings settings_;
  Shard shard_;
  GenerateOptions defaults_;
  BatchIndex index_;
  std::optional<Text> text_;
  openai::ServedModel served_;
  bool context_counts_ = false;
  std::optional<KeptFingerprint> kept_fingerprint_;
  std::string fingerprint_;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<BatchCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kBatch{.name = "batch",
                     .summary = "Answer a file of requests, and go on after any end",
                     .set_up = set_up};

}  // namespace ollm::cli
