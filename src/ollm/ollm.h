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

#include "ollm/base/cancel.h"
#include "ollm/base/function_ref.h"
#include "ollm/base/result.h"
#include "ollm/engine/sampling_options.h"
#include "ollm/plan/runtime_plan.h"
#include "ollm/plan/settings.h"
#include "ollm/plan/settings_fields.h"
#include "ollm/plan/workload.h"

namespace ollm {

namespace checkpoint {
class ModelFolder;
}

using plan::check_settings;
using plan::Environment;
using plan::load_settings;
using plan::Settings;
using plan::settings_fields;
using plan::SettingsField;
using plan::SettingsOverride;
using plan::SettingsSources;

/// `ollm config show`: every field with its value and where it came from, as JSON.
std::string settings_json(const Settings& settings);

/// The version of the library, "0.1.0".
std::string_view version();

using TokenId = std::int32_t;

/// One turn of a conversation.
struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

/// What a session goes on from; one of the three.
struct Prompt {
  std::optional<std::string> text;  // as it is, special tokens of the tokenizer in front
  std::vector<Message> messages;    // through the model's chat template
  std::vector<TokenId> ids;         // as they are

  static Prompt raw(std::string text);
  static Prompt chat(std::vector<Message> messages);
  static Prompt tokens(std::vector<TokenId> ids);
};

/// A text as it goes into the model.
struct EncodedPrompt {
  std::vector<TokenId> ids;
  std::string rendered;  // the text that was encoded; empty for ids
};

struct EncodeOptions {
  bool add_special = true;     // what the tokenizer puts around every text (a first token)
  bool parse_special = false;  // whether the text of a control token is that token
};

/// How messages become one text.
struct TemplateOptions {
  std::string name;            // of several templates in the folder; empty: the default
  std::string source;          // a template of the caller's, instead of the folder's
  std::string variables;       // a JSON object of further variables; empty: none
  bool parse_special = false;  // whether control tokens in messages are control tokens
};

/// A failure of `Text::render`, with the place in the template.
struct RenderError {
  Error error;
  std::string kind;  // "syntax", "runtime", "raise_exception", "limit"
  std::size_t line = 0;
  std::size_t column = 0;
};

/// The tokenizer and the chat template of a model; needs no weights.
class Text {
 public:
  struct State;

  /// Opens the tokenizer files of a model reference. Errors: not_found, corrupt, unsupported.
  static Result<Text> open(const Settings& settings);
  static Result<Text> open_folder(const checkpoint::ModelFolder& folder);

  Result<std::vector<TokenId>> encode(std::string_view text, const EncodeOptions& options) const;
  /// Errors: invalid_argument for an id outside the vocabulary.
  Result<std::string> decode(std::span<const TokenId> ids, bool skip_special) const;

  /// Decodes id by id: what each brings out, and what the end still does.
  class Stream {
   public:
    Stream(const Text& text, bool skip_special);
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();
    Result<std::string> push(TokenId id);
    std::string finish();

   private:
    struct Decoder;
    std::unique_ptr<Decoder> decoder_;
  };

  bool has_chat_template() const;

  /// Renders a template with a JSON object of variables: exactly these, and the special tokens of
  /// tokenizer_config.json that it lacks.
  std::optional<RenderError> render(std::string_view variables_json, const TemplateOptions& options,
                                    std::string& out) const;

  /// The ids of a prompt. Messages without a chat template are an error, unless they are one user
  /// message, which then goes in as it is.
  Result<EncodedPrompt> encode_prompt(const Prompt& prompt, const TemplateOptions& options) const;

 private:
  explicit Text(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;  // shared by the runtime that was loaded with it
};

/// What will run, why, in how much memory and how fast; made without loading anything.
class Plan {
 public:
  struct State;

  const RuntimePlan& runtime_plan() const;

  /// Whether it can run: there is a backend, and it fits into the budget.
  /// Errors: the one to give up with: not_found, unsupported, out_of_budget with the smallest
  /// budget that would do.
  Result<void> check() const;

  /// The workload as planned: new tokens may be fewer than asked for.
  const Workload& workload() const;

  /// {runtime_config, resolved_model, runtime_plan, execution_plan}, pretty-printed.
  std::string json() const;
  /// The two plans alone, as JSON.
  std::string runtime_plan_json() const;
  std::string execution_plan_json() const;
  /// The plan in sentences, for people.
  std::string explain() const;

 private:
  friend class Runtime;
  friend Result<Plan> make_plan(const Settings& settings, const Workload& workload,
                                const std::vector<std::string>& allow_config_keys);
  explicit Plan(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;  // shared by the runtime that was loaded from it
};

/// Plans a run. A model that is not there, or does not fit, gives a plan that says so.
/// `allow_config_keys`: keys of config.json that nobody knows and the caller vouches for.
/// Errors: invalid_argument for settings or a workload that make no sense.
Result<Plan> make_plan(const Settings& settings, const Workload& workload,
                       const std::vector<std::string>& allow_config_keys = {});

/// What a run took: the names of the plan's estimate, measured.
struct Report {
  std::uint64_t bytes_per_sweep = 0;
  double seconds_per_sweep = 0;
  std::string bound_by;
  double prefill_tokens_per_second = 0;
  double decode_tokens_per_second = 0;
  double time_to_first_token_s = 0;  // from when the model was loaded
  double total_s = 0;                // since the process started
  std::uint64_t peak_bytes = 0;      // VmHWM
  std::uint64_t planned_peak_bytes = 0;
  std::uint64_t bytes_read = 0;  // of weights
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;
  std::size_t new_tokens = 0;
  double load_s = 0;

  std::string json() const;
};

enum class Stage { load, prefill, decode, score };

/// How far a stage is: bytes of weights while loading, else tokens.
struct Progress {
  Stage stage = Stage::load;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};
using OnProgress = FunctionRef<void(const Progress&)>;

struct GenerateOptions {
  std::size_t max_new_tokens = 500;
  engine::SamplingOptions sampling = {};
  bool model_defaults = false;  // sampling as generation_config.json has it
  std::vector<std::string> stop = {};
  bool ignore_eos = false;
  TemplateOptions chat_template = {};
};

enum class FinishReason { stop, length, cancelled };
std::string_view to_string(FinishReason reason);

struct Generation {
  std::string text;
  std::vector<TokenId> ids;  // the new tokens, without the end token
  FinishReason finish_reason = FinishReason::stop;
  Report report;
};

/// One line of tokens on a loaded model; owns its KV. One thread at a time.
class Session {
 public:
  struct State;

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  std::size_t tokens() const;

  /// Goes on from the prompt; `on_text` gets the new text as it is made. Cancellation gives a
  /// Generation with what was made so far. Errors: invalid_argument for an empty prompt, ids
  /// outside the vocabulary, or more tokens than were planned for; io, corrupt.
  Result<Generation> generate(const Prompt& prompt, const GenerateOptions& options,
                              FunctionRef<void(std::string_view)> on_text = nullptr,
                              OnProgress on_progress = nullptr,
                              const CancellationToken* cancel = nullptr);

 private:
  friend class Runtime;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// One row to score.
struct ScoreRow {
  std::string id;
  std::vector<TokenId> ids;
};

struct ScoreOptions {
  std::size_t batch = 1;    // rows in one sweep
  bool last_only = false;   // logits of the last position only
  std::string logits_path;  // where logits go as safetensors; empty: nowhere
};

struct ScoredRow {
  std::string id;
  std::size_t tokens = 0;
  /// log p(ids[i + 1] | ids[0 ... i]); empty with last_only.
  std::vector<double> log_probs;
  std::optional<double> perplexity;  // exp(-mean); nothing for fewer than two tokens
};

struct ScoreResult {
  std::vector<ScoredRow> rows;
  Report report;
};

/// A loaded model: shared, constant. Sessions of one runtime take turns: one thread at a time.
class Runtime {
 public:
  struct State;

  /// Loads what was planned. `text`, if given, is the model's and is not read again; a model
  /// without a tokenizer runs on ids. Errors: those of Plan::check; io, corrupt (also when the
  /// folder changed since it was planned); out_of_budget; cancelled.
  static Result<Runtime> load(const Plan& plan, std::optional<Text> text = std::nullopt,
                              OnProgress on_progress = nullptr,
                              const CancellationToken* cancel = nullptr);

  /// The plan as it stands after loading: what was applied.
  const RuntimePlan& runtime_plan() const;
  std::string runtime_plan_json() const;

  /// Nothing where the model has no tokenizer.
  const std::optional<Text>& text() const;

  /// Errors: out_of_budget, when the planned sequences are all in use.
  Result<Session> new_session() const;

  /// Errors: as Session::generate.
  Result<ScoreResult> score(std::span<const ScoreRow> rows, const ScoreOptions& options,
                            OnProgress on_progress = nullptr,
                            const CancellationToken* cancel = nullptr) const;

 private:
  friend class Session;
  explicit Runtime(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // shared by its sessions, which must not outlive the weights
};

}  // namespace ollm
