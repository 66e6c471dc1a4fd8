/// \file
/// The front door: all that a program using ollm includes. Plan a run, load what was planned, go on
/// with a line of tokens.
///
///     ollm::Settings settings;
///     settings.runtime.model_reference = "path/to/model";
///     auto plan = ollm::make_plan(settings, {.context_tokens = 2048});
///     auto runtime = ollm::Runtime::load(*plan);
///     auto session = runtime->new_session();
///     session->generate(ollm::Prompt::raw("Once upon a time"), {.max_new_tokens = 200},
///                       [](std::string_view piece) { std::cout << piece << std::flush; });
///
/// Every call that can fail returns a Result; nothing throws. A Plan, a Text and a Runtime are
/// handles: copies share one object, constant once made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/plan/plans.h"
#include "ollm/sampling/options.h"
#include "ollm/settings/settings.h"

namespace ollm {

namespace checkpoint {
class ModelFolder;
}
namespace runtime {
struct LoadFaults;
}
struct RecordedAnswer;

using settings::check_settings;
using settings::Settings;

/// Every field with its value and where it came from: docs/formats/config_show.schema.json.
OLLM_API Value settings_as_dict(const Settings& settings);

/// The version of the library, "0.1.0".
OLLM_API std::string_view version();

/// One turn of a conversation.
struct Message {
  std::string role;     // "system", "user", "assistant"
  std::string content;  // what they said
};

/// What a session goes on from; one of the three.
struct Prompt {
  std::optional<std::string> text;  // as it is, special tokens of the tokenizer in front
  std::vector<Message> messages;    // through the model's chat template
  std::vector<TokenId> ids;         // as they are

  /// A text as it is, messages, or ids.
  ///@{
  OLLM_API static Prompt raw(std::string text);
  OLLM_API static Prompt chat(std::vector<Message> messages);
  OLLM_API static Prompt tokens(std::vector<TokenId> ids);
  ///@}
};

/// A text as it goes into the model.
struct EncodedPrompt {
  std::vector<TokenId> ids;  // never empty, but for an empty text without special tokens
  std::string rendered;      // the text that was encoded; empty for ids
};

/// What besides a text becomes tokens.
struct EncodeOptions {
  bool add_special = true;     // what the tokenizer puts around every text (a first token)
  bool parse_special = false;  // whether the text of a control token is that token
};

/// How messages become one text.
struct TemplateOptions {
  std::string name;            // of several templates in the folder; empty: the default
  std::string source;          // a template of the caller's, instead of the folder's
  std::string variables;       // a JSON object of further variables, at most 64 deep; empty: none
  bool parse_special = false;  // whether control tokens in messages are control tokens
};

/// A failure of `Text::render`, with the place in the template.
struct RenderError {
  Error error;             // for people
  std::string kind;        // "syntax", "runtime", "raise_exception", "limit"
  std::size_t line = 0;    // from 1; 0: nowhere
  std::size_t column = 0;  // from 1; 0: nowhere
};

/// The tokenizer and the chat template of a model; needs no weights.
class Text {
 public:
  struct State;  // what it is made of, for the library alone

  /// Copies share one object; moving copies too, so that no handle is ever empty.
  ///@{
  Text(const Text&) = default;
  Text& operator=(const Text&) = default;
  ///@}

  /// Opens the tokenizer files of a model reference. Errors: not_found, corrupt, unsupported.
  OLLM_API static Result<Text> open(const Settings& settings);
  /// The same of a folder that is open already. Errors: as above.
  static Result<Text> open_folder(const checkpoint::ModelFolder& folder);

  /// The ids of a text. Errors: unsupported for a text above the limits of the tokenizer.
  OLLM_API Result<std::vector<TokenId>> encode(std::string_view text,
                                               const EncodeOptions& options) const;
  /// Errors: invalid_argument for an id outside the vocabulary.
  OLLM_API Result<std::string> decode(std::span<const TokenId> ids, bool skip_special) const;
  /// The text of ids for people: each control token between U+27E6 and U+27E7, which tells it from
  /// text that only looks like one. Errors: as decode.
  OLLM_API Result<std::string> decode_marked(std::span<const TokenId> ids) const;

  /// The bytes that a token brings into a text behind another one: maybe less than a character, and
  /// for control tokens their content. Errors: as decode.
  OLLM_API Result<std::string> token_bytes(TokenId id) const;

  /// Decodes id by id: what each brings out, and what the end still does.
  class Detokenizer {
   public:
    /// `skip_special`: special tokens bring out nothing.
    OLLM_API Detokenizer(const Text& text, bool skip_special);
    /// Moves, never copies.
    ///@{
    OLLM_API Detokenizer(Detokenizer&&) noexcept;
    OLLM_API Detokenizer& operator=(Detokenizer&&) noexcept;
    ///@}
    OLLM_API ~Detokenizer();
    /// The text that `id` brings out: whole characters, maybe none yet.
    /// Errors: invalid_argument for an id outside the vocabulary, or where it was moved from.
    OLLM_API Result<std::string> push(TokenId id);
    /// What is still held back, when no more ids come; nothing where it was moved from.
    OLLM_API std::string finish();

   private:
    struct Decoder;
    std::unique_ptr<Decoder> decoder_;
  };

  /// Whether the folder brings a way to write messages as one text.
  OLLM_API bool has_chat_template() const;

  /// Renders a template with a JSON object of variables: exactly these, and the special tokens of
  /// tokenizer_config.json that it lacks.
  OLLM_API std::optional<RenderError> render(std::string_view variables_json,
                                             const TemplateOptions& options,
                                             std::string& out) const;

  /// The ids of a prompt. Messages without a chat template are an error, unless they are one user
  /// message, which then goes in as it is.
  OLLM_API Result<EncodedPrompt> encode_prompt(const Prompt& prompt,
                                               const TemplateOptions& options) const;
  /// Of a prompt and its ids, how many at the end the template writes to ask for the answer; 0
  /// where that cannot be told.
  OLLM_API std::size_t generation_prompt_tokens(const Prompt& prompt,
                                                const TemplateOptions& options,
                                                const EncodedPrompt& encoded) const;

 private:
  explicit Text(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;  // shared by the runtime that was loaded with it
};

/// What a call is busy with.
enum class Stage { load, prefill, decode, score, write, measure, hash, verify };

/// How far a stage is: bytes while loading, writing, hashing and verifying, steps while measuring,
/// else tokens.
struct Progress {
  Stage stage = Stage::load;  // what is going on
  std::uint64_t done = 0;     // up to now
  std::uint64_t total = 0;    // when the stage will be over
};
/// Called now and then, on the thread that called; nullptr: not at all.
using OnProgress = FunctionRef<void(const Progress&)>;

/// What will run, why, in how much memory and how fast; made without loading anything.
class Plan {
 public:
  struct State;  // what it is made of, for the library alone

  /// Copies share one object; moving copies too, so that no handle is ever empty.
  ///@{
  Plan(const Plan&) = default;
  Plan& operator=(const Plan&) = default;
  ///@}

  /// Which backend runs it, with which passes, and why.
  OLLM_API const RuntimePlan& runtime_plan() const;
  /// Where every byte will lie, and what it will cost; nothing where no backend runs the model.
  OLLM_API const std::optional<ExecutionPlan>& execution_plan() const;

  /// Whether it can run: there is a backend, and it fits into the budget.
  /// Errors: the one to give up with: not_found, unsupported, out_of_budget with the smallest
  /// budget that would do.
  OLLM_API Result<void> check() const;

  /// The workload as planned: new tokens may be fewer than asked for.
  OLLM_API const Workload& workload() const;

  /// {runtime_config, resolved_model, runtime_plan, execution_plan}; the last is null where nothing
  /// runs. Schema: docs/formats/plan.schema.json.
  OLLM_API Value as_dict() const;
  /// The same as JSON, pretty-printed.
  OLLM_API std::string json() const;
  /// What the run will take, in one line for people: time, speed, memory; empty where nothing runs.
  OLLM_API std::string summary() const;
  /// The plan in sentences, for people.
  OLLM_API std::string explain() const;
  /// The name of what will answer, 64 digits: equal names, equal answers to equal requests, bit for
  /// bit. Of the content of the model's files, tokenizer and templates included, the compute mode,
  /// the numeric class of this machine, a KV strategy that changes answers, and the version of our
  /// numerics. Reads all weights where no earlier run has hashed them.
  /// Errors: those of `check`; io; corrupt where a file changed; cancelled.
  OLLM_API Result<std::string> fingerprint(OnProgress on_progress = nullptr,
                                           const CancellationToken* cancel = nullptr) const;
  /// What of the model's folder was passed over and may change an answer, a sentence each.
  OLLM_API std::vector<std::string> warnings() const;

 private:
  friend class Runtime;
  friend OLLM_API Result<Plan> make_plan(const Settings& settings, const Workload& workload,
                                         const Allowances& allowances);
  explicit Plan(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;  // shared by the runtime that was loaded from it
};

/// Plans a run. A model that is not there, or does not fit, gives a plan that says so.
/// `allowances`: what of the model's files may be left out of account; each is a Decision.
/// Errors: invalid_argument for settings or a workload that make no sense.
OLLM_API Result<Plan> make_plan(const Settings& settings, const Workload& workload,
                                const Allowances& allowances = {});

/// The same for who does not know yet what will be asked: with the context of the settings, or
/// where they have none with the longest that the model has and the machine holds, found by halving
/// it. Of the workload, tokens are left out where they are more than half of that. Errors: as
/// make_plan; those of Plan::check where no context fits.
OLLM_API Result<Plan> make_longest_plan(const Settings& settings, const Workload& workload,
                                        const Allowances& allowances = {});

/// A model as its files tell it, with the plan that it would get; nothing is loaded.
struct ModelInfo {
  RuntimePlan runtime_plan;      // and in it the resolved model
  bool materialized = false;     // whether its folder is there
  std::optional<Error> refusal;  // why it cannot run, and where was looked
  std::string discovery_source;  // of a list: how it was found; else empty

  /// docs/formats/model_info.schema.json, without `discovery_source`.
  OLLM_API Value as_dict() const;
  /// The same as JSON, pretty-printed.
  OLLM_API std::string json() const;
};

/// Looks up, inspects and plans settings.runtime.model_reference. What is not there, or cannot run,
/// is an answer too. Errors: invalid_argument, unsupported for settings that no plan can have.
OLLM_API Result<ModelInfo> model_info(const Settings& settings);

/// The built-in aliases, the folders of the models folder and what lies in the hub's cache.
/// Errors: as model_info; io.
OLLM_API Result<std::vector<ModelInfo>> list_models(const Settings& settings);

/// {"models": [...]}: each as ModelInfo::json, with its `discovery_source`.
OLLM_API std::string models_json(const std::vector<ModelInfo>& models);

/// One limit that is held: what is beyond it is refused with a message that names it.
struct Limit {
  std::string_view area;    // "safetensors"
  std::string_view name;    // "header_bytes"; ends with its unit
  std::uint64_t value = 0;  // that is still taken
  std::string_view what;    // for people
};

/// All of them, by area. The values are those that the code checks against, not copies.
OLLM_API std::span<const Limit> limits();

/// What a run took: the names of the plan's estimate, measured.
struct Report {
  std::uint64_t bytes_per_sweep = 0;     // that decoding one token reads from disk
  double seconds_per_sweep = 0;          // of decoding
  std::string bound_by;                  // "memory", "compute", "disk"
  double prefill_tokens_per_second = 0;  // of the tokens that were not cached
  double decode_tokens_per_second = 0;   // of the new tokens, without the first
  double time_to_first_token_s = 0;      // from when the model was loaded
  double total_s = 0;                    // since the process started
  std::uint64_t peak_bytes = 0;          // VmHWM
  std::uint64_t planned_peak_bytes = 0;  // what the plan said of it
  std::uint64_t bytes_read = 0;          // of weights, since the process began to load them
  std::size_t prompt_tokens = 0;         // cached ones included
  std::size_t cached_tokens = 0;         // of the prompt, whose keys and values were there
  std::size_t new_tokens = 0;            // without the end token
  double load_s = 0;                     // from opening the files to the last byte of weights
  std::uint64_t streamed_bytes = 0;      // of weights, by this run's sweeps
  double io_wait_s = 0;                  // that its sweeps slept, as the disk was not there yet
  double io_cpu_s = 0;                   // of CPU, for reading
  std::uint64_t kv_bytes_read = 0;       // of stored keys and values, by this run
  std::uint64_t kv_bytes_written = 0;    // the same, written: to be kept, or as memory was full
  std::uint64_t kv_corrupt_blocks = 0;   // that were not what was stored, and computed again
  std::uint64_t draft_tokens = 0;        // that were guessed, and run beside those that were sure
  std::uint64_t draft_accepted = 0;      // of them those that held: sweeps that were spared
  std::uint64_t experts_wanted = 0;      // of mixtures, by this run's sweeps, each once in each
  std::uint64_t experts_kept = 0;        // of them those that were in memory
  std::uint64_t experts_guessed = 0;     // of the others those that were being read already
  std::uint64_t wrong_guess_bytes = 0;   // read of experts that nobody then wanted

  /// docs/formats/report.schema.json.
  OLLM_API Value as_dict() const;
};

/// How to go on from a prompt, and until when.
struct GenerateOptions {
  std::size_t max_new_tokens = 500;    // at most
  sampling::Options sampling = {};     // how each is chosen; greedy by default
  bool model_defaults = false;         // sampling as generation_config.json has it
  std::vector<std::string> stop = {};  // texts to end before
  bool ignore_eos = false;             // go on past end tokens
  TemplateOptions chat_template = {};  // of messages
  /// How likely each new token was found, and so many of the likeliest beside it; nothing: not
  /// wanted.
  std::optional<std::size_t> top_log_probs = {};
  /// The same of the prompt's tokens: for `Runtime::submit`, of its first answer, whose prompt is
  /// computed whole then, whatever of it is stored.
  bool prompt_log_probs = false;
};

/// What the generation section of the settings says. A filter without a temperature means
/// temperature 1.
OLLM_API GenerateOptions generate_options(const Settings& settings);

/// Why no more tokens came.
enum class FinishReason {
  stop,       // an end token or a stop text
  length,     // as many as were asked for
  cancelled,  // the caller stopped it
};
/// The wire value: "stop", "length", "cancelled".
OLLM_API std::string_view to_string(FinishReason reason);

/// What was made.
struct Generation {
  std::string text;                                 // of the new tokens, up to a stop text
  std::vector<TokenId> ids;                         // the new tokens, without the end token
  FinishReason finish_reason = FinishReason::stop;  // why no more came
  /// Where they were asked for, of the bare logits: of each of these ids, and of those of the
  /// prompt from its second on.
  ///@{
  std::vector<sampling::TokenLogProbs> log_probs = {};
  std::vector<sampling::TokenLogProbs> prompt_log_probs = {};
  ///@}
  Report report = {};  // what it took
};

/// One line of tokens on a loaded model; owns its KV. One thread at a time.
class Session {
 public:
  struct State;  // what it is made of, for the library alone

  /// Moves, never copies.
  ///@{
  OLLM_API Session(Session&&) noexcept;
  OLLM_API Session& operator=(Session&&) noexcept;
  ///@}
  OLLM_API ~Session();

  /// How many tokens it holds; 0 where it was moved from.
  OLLM_API std::size_t tokens() const;

  /// Goes on from the prompt; `on_text` gets the new text as it is made. Messages are a whole
  /// conversation, of which the part that stands in this line is not computed again; text and ids
  /// go on behind the line, a text then without what the tokenizer puts around it.
  ///
  /// Cancellation gives a Generation with what was made so far. On an error, or when it is
  /// cancelled before the first new token, the line is as it was; what of the prompt was computed
  /// is found by the next call that asks for it.
  ///
  /// Beside those of other threads it runs in the same sweeps, and gives what it gives alone.
  ///
  /// Errors: invalid_argument for an empty prompt or one of several forms, ids outside the
  /// vocabulary, more tokens than were planned for, sampling out of its limits, or while another
  /// call runs on this session; not_found where a text meets a model without a tokenizer;
  /// out_of_budget where other sessions hold all KV; io; corrupt, also for logits that are no
  /// numbers.
  OLLM_API Result<Generation> generate(const Prompt& prompt, const GenerateOptions& options,
                                       FunctionRef<void(std::string_view)> on_text = nullptr,
                                       OnProgress on_progress = nullptr,
                                       const CancellationToken* cancel = nullptr);

 private:
  friend class Runtime;
  friend OLLM_API Result<void> fill_at_random(Session& session, std::size_t tokens,
                                              OnProgress on_progress,
                                              const CancellationToken* cancel);  // bench.h
  friend OLLM_API Result<Generation> replay(Session& session, const RecordedAnswer& recorded,
                                            OnProgress on_progress,
                                            const CancellationToken* cancel);  // bench.h
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A prompt and how many answers to it are wanted. What it goes on from is the prompt alone; what
/// of it is stored, or is computed for another request, is not computed again.
struct Request {
  Prompt prompt;
  GenerateOptions options;  // answer i, from 0, is sampled with the seed + i
  std::size_t answers = 1;  // 1 to kMostAnswers; they share the prompt's keys and values
  int priority = 0;         // requests of a higher one go first, and take the place of lower ones
  /// Ends it as Ticket::cancel does, between two layers; it outlives the ticket.
  const CancellationToken* cancel = nullptr;
};
inline constexpr std::size_t kMostAnswers = 128;

/// What is new of one answer of a request.
struct Piece {
  std::size_t answer = 0;    // which
  std::string text;          // that came behind what was told before
  std::vector<TokenId> ids;  // of the new tokens that brought it, or held it back
  /// Where they were asked for, of each of these ids.
  std::vector<sampling::TokenLogProbs> log_probs;
  std::size_t prefilled = 0;                  // tokens of the prompt that were computed so far
  std::size_t prefill_total = 0;              // of as many; the others were there
  std::optional<FinishReason> finish_reason;  // why no more comes, with the last piece
};

/// All answers of a request.
struct Answers {
  std::vector<Generation> answers;  // in order
  Report report;                    // what they took together
};

/// A request that was submitted. Whoever waits for one runs the sweeps for all: without anybody
/// waiting nothing moves. One thread at a time; tickets of one runtime may be on many threads.
class Ticket {
 public:
  struct State;  // what it is made of, for the library alone

  /// Moves, never copies.
  ///@{
  OLLM_API Ticket(Ticket&&) noexcept;
  OLLM_API Ticket& operator=(Ticket&&) noexcept;
  ///@}
  /// Nobody waits for it any more: it is cancelled.
  OLLM_API ~Ticket();

  /// Waits for the next piece of any of its answers; nothing, when all are over and told. An answer
  /// of which 64 KiB were not asked for rests, as long as others can run.
  /// Errors: what an answer ended with, as Session::generate; it is told once. invalid_argument
  /// where it was moved from.
  OLLM_API Result<std::optional<Piece>> next();

  /// Whether `next` would not wait: there is a piece, or none comes any more.
  OLLM_API bool ready() const;

  /// Ends it soon: answers that are not over get the finish reason `cancelled`. Any thread.
  OLLM_API void cancel();

  /// Waits until all answers are over, and gives them whole; once. Errors: of the first that has
  /// one, as Session::generate; invalid_argument where it was moved from, or waited for before.
  OLLM_API Result<Answers> wait();

  /// Waits until one of the tickets is `ready`; which. They are of one runtime. `stop` ends the
  /// waiting, not what runs, between two sweeps. Errors: invalid_argument for none, for one that
  /// was moved from, for several runtimes; cancelled by `stop`.
  OLLM_API static Result<std::size_t> wait_any(std::span<Ticket* const> tickets,
                                               const CancellationToken* stop = nullptr);

 private:
  friend class Runtime;
  explicit Ticket(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// One row to score.
struct ScoreRow {
  std::string id;            // the caller's name of it
  std::vector<TokenId> ids;  // one or more
};

/// How rows are scored, and what is kept.
struct ScoreOptions {
  /// What a row and what is made of it hold beside its ids and log probabilities, at most: names,
  /// lists, and its entry in a file of logits.
  OLLM_API std::size_t row_bytes() const;

  std::size_t batch = 1;   // rows in one sweep
  bool last_only = false;  // logits of the last position only
  /// Where logits go, as safetensors; not into the model's folder. Empty: nowhere.
  std::string logits_path = {};
};

/// What became of one row.
struct ScoredRow {
  std::string id;          // as it was given
  std::size_t tokens = 0;  // as many as it has
  /// log p(ids[i + 1] | ids[0 ... i]); empty with last_only.
  std::vector<double> log_probs;
  std::optional<double>
      perplexity;  // exp(-mean); nothing for fewer than two tokens, or above 1e308
};

/// All rows, in the order they were given.
struct ScoreResult {
  std::vector<ScoredRow> rows;  // one for each
  Report report;                // what they took together
};

/// A loaded model: shared, constant. Any thread may call; what several want at once runs in the
/// same sweeps, as many lines as were planned for (Workload::sequences), and the rest waits.
class Runtime {
 public:
  struct State;  // what it is made of, for the library alone

  /// Copies share one object; moving copies too, so that no handle is ever empty.
  ///@{
  Runtime(const Runtime&) = default;
  Runtime& operator=(const Runtime&) = default;
  ///@}

  /// Loads what was planned. `text`, if given, is the model's and is not read again; a model
  /// without a tokenizer runs on ids. Errors: those of Plan::check; io, corrupt (also when the
  /// folder changed since it was planned); out_of_budget; cancelled.
  /// Where a provider cannot be applied, the generic backend takes over if it can, and the plan
  /// says so (state fallback). `failure`, if given, gets why a provider could not be applied,
  /// whether the generic backend took over or not; it is left alone where none failed.
  OLLM_API static Result<Runtime> load(const Plan& plan, std::optional<Text> text = std::nullopt,
                                       OnProgress on_progress = nullptr,
                                       const CancellationToken* cancel = nullptr,
                                       SpecializationFailure* failure = nullptr);

  /// The plan as it stands after loading: what was applied.
  OLLM_API const RuntimePlan& runtime_plan() const;
  /// Of what was loaded: another than was planned after a fallback.
  OLLM_API ExecutionPlan execution_plan() const;

  /// Nothing where the model has no tokenizer.
  OLLM_API const std::optional<Text>& text() const;

  /// Waits until what is to be kept of keys and values is on disk, as the end of the last session
  /// does too. Errors: why some of what was computed is not kept, since this was loaded: nothing
  /// else follows from it.
  OLLM_API Result<void> keep() const;

  /// Takes no KV yet: where the planned sequences are all in use, `generate` says so.
  OLLM_API Result<Session> new_session() const;

  /// Puts a request among those that run. Which others there are changes no bit of its answers, nor
  /// does when they come. Of those that wait, one is overtaken by at most 1024 later ones, of
  /// whatever priority; every one that runs has a row of each sweep.
  /// Errors: invalid_argument for what no answer can come of (as Session::generate), or too many
  /// answers; not_found, out_of_budget as there.
  OLLM_API Result<Ticket> submit(const Request& request) const;

  /// Errors: as Session::generate; invalid_argument also for more rows at once, or other logits,
  /// than were planned for.
  OLLM_API Result<ScoreResult> score(std::span<const ScoreRow> rows, const ScoreOptions& options,
                                     OnProgress on_progress = nullptr,
                                     const CancellationToken* cancel = nullptr) const;

 private:
  friend class Session;
  friend struct runtime::LoadFaults;
  static Result<Runtime> load(const Plan& plan, std::optional<Text> text, OnProgress on_progress,
                              const CancellationToken& cancel, const runtime::LoadFaults& faults,
                              SpecializationFailure* failure);
  explicit Runtime(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // shared by its sessions, which must not outlive the weights
};

}  // namespace ollm
