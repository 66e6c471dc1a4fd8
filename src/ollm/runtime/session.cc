// A line of tokens: prompt in, text out, KV kept between turns. Leaves to others: how an answer is
// made (answer.h), and beside which others (engine/scheduler.h).
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <span>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/bench.h"
#include "ollm/kv/random_kv.h"
#include "ollm/runtime/answer.h"
#include "ollm/runtime/prompt_ids.h"
#include "ollm/runtime/state.h"

namespace ollm {

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
  }
  return "stop";
}

struct Session::State {
  State(std::shared_ptr<Runtime::State> loaded, kv::Line empty)
      : runtime(std::move(loaded)), kv(std::move(empty)) {}
  ~State() {
    const runtime::Turn turn(*runtime);
    kv.reset();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::shared_ptr<Runtime::State> runtime;  // shared: keeps the weights as long as it lives
  std::vector<TokenId> line;                // all tokens; the last may not stand in KV yet
  std::optional<kv::Line> kv;
  // The tokens that stand in KV: mostly those of the line, and after a call that failed also those
  // that it had computed, which the next call finds if it asks for them again.
  std::vector<TokenId> computed;
  std::atomic<bool> busy{false};  // whether a call runs
};

namespace {

// The right to use a session, for one call: a second one, from another thread or from a callback of
// the first, is refused instead of mixing its tokens with the first's.
class Use {
 public:
  // Errors: invalid_argument while another call runs.
  static Result<Use> begin(Session::State& session) {
    if (session.busy.exchange(true, std::memory_order_acquire)) {
      return fail(ErrorKind::invalid_argument,
                  "another call runs on this session: it is one line of tokens, and its calls take "
                  "turns");
    }
    return Use(session);
  }
  Use(Use&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
  Use& operator=(Use&&) = delete;
  ~Use() {
    if (session_ != nullptr) session_->busy.store(false, std::memory_order_release);
  }

 private:
  explicit Use(Session::State& session) : session_(&session) {}
  Session::State* session_;
};

// The line as it was before a call, put back where the call does not come to an end.
class LineBefore {
 public:
  // `anew`: the line is replaced, else it grows.
  LineBefore(Session::State& session, bool anew) : session_(session), anew_(anew) {
    size_ = session.line.size();
    if (anew) line_.swap(session.line);
  }
  ~LineBefore() {
    std::vector<TokenId>& line = session_.line;
    if (kept_) return;
    if (anew_) {
      line.swap(line_);
    } else {
      line.resize(size_);
    }
  }
  LineBefore(const LineBefore&) = delete;
  LineBefore& operator=(const LineBefore&) = delete;

  void keep_new() { kept_ = true; }

 private:
  Session::State& session_;
  const bool anew_;
  std::size_t size_ = 0;
  std::vector<TokenId> line_;
  bool kept_ = false;
};

// Notes what stands in KV when an answer is over, which is right whatever became of it: also where
// a callback throws.
class Computed {
 public:
  Computed(Session::State& session, const runtime::Answer& answer)
      : session_(session), answer_(answer) {}
  ~Computed() {
    if (!answer_.admitted()) return;
    const std::vector<TokenId>& line = session_.line;
    session_.computed.assign(line.begin(),
                             line.begin() + static_cast<std::ptrdiff_t>(session_.kv->tokens()));
  }
  Computed(const Computed&) = delete;
  Computed& operator=(const Computed&) = delete;

 private:
  Session::State& session_;
  const runtime::Answer& answer_;
};

// One call of generate, around its answer: which line it goes on from, and what becomes of that.
class Generator {
 public:
  Generator(Session::State& session, const GenerateOptions& options,
            FunctionRef<void(std::string_view)> on_text, OnProgress on_progress,
            const CancellationToken& cancel, std::span<const TokenId> recorded = {})
      : session_(session),
        runtime_(*session.runtime),
        line_(session.line),
        options_(options),
        on_text_(on_text),
        on_progress_(on_progress),
        cancel_(cancel),
        recorded_(recorded) {}

  // Everything is checked before anything is changed, and an error on the way puts the line back:
  // the same call, corrected, gives what it gives on a session that never saw the wrong one.
  Result<Generation> run(const Prompt& prompt) {
    const double begin = monotonic_seconds();
    if (options_.prompt_log_probs) {
      return fail(
          ErrorKind::invalid_argument,
          "log probabilities of the prompt: a session does not compute what it holds again; "
          "Runtime::submit does");
    }
    OLLM_TRY(const sampling::Options sampling, runtime::sampling_options(runtime_, options_));
    std::vector<TokenId> encoded;
    OLLM_TRY(
        const runtime::PromptIds given,
        runtime::prompt_ids(runtime_, prompt, options_.chat_template, !line_.empty(), encoded));
    const std::span<const TokenId> ids = given.ids;
    // A conversation is rendered as a whole, all else goes on behind the line.
    const bool anew = !prompt.messages.empty();
    const std::size_t before = anew ? 0 : line_.size();
    OLLM_TRY_VOID(runtime::check_ids(runtime_, ids, before));
    const std::size_t size = before + ids.size();
    const std::size_t context = runtime_.execution().context_tokens;
    const std::size_t max_new = std::min(options_.max_new_tokens, context - size + 1);
    const std::size_t resident = stored_prefix(ids, anew);
    if (runtime_.kept_kv && resident + 1 < size) {
      const runtime::Turn turn(runtime_);
      runtime_.kept_kv->settle(size - 1 - resident, on_progress_, cancel_);
    }

    LineBefore line_before(session_, anew);
    line_.insert(line_.end(), ids.begin(), ids.end());
    const auto answer = std::make_shared<runtime::Answer>(runtime_, options_, sampling, line_,
                                                          max_new, cancel_, begin);
    answer->replay(recorded_);
    engine::Terms terms;
    terms.room = std::min(context, size + max_new);
    terms.line = &*session_.kv;
    terms.kept = resident;
    terms.entry = given.entry(size);
    {
      const Computed computed(session_, *answer);
      const runtime::Submitted submitted(runtime_, answer, terms);
      OLLM_TRY_VOID(wait_for(*answer));
    }
    OLLM_TRY(Generation made, answer->result());
    // Stopped before the first token there is no answer: the line is as it was.
    if (made.finish_reason != FinishReason::cancelled || !made.ids.empty()) line_before.keep_new();
    return made;
  }

 private:
  // Runs it, and tells the caller what comes.
  Result<void> wait_for(runtime::Answer& answer) {
    runtime::Answer::News news;
    std::size_t prefilled = 0;
    std::size_t new_tokens = 0;
    while (!news.over) {
      runtime_.scheduler->run_until([&] { return answer.has_news() || answer.over(); });
      if (!answer.has_news() && !answer.over())
        return fail(ErrorKind::internal, "nothing is left to run, and the answer is not there");
      answer.take_news(news);
      if (on_progress_ && news.prefilled > prefilled)
        on_progress_({Stage::prefill, news.prefilled, news.prefill_total});
      if (on_text_ && !news.text.empty()) on_text_(news.text);
      if (on_progress_ && news.new_tokens > new_tokens)
        on_progress_({Stage::decode, news.new_tokens, answer.max_new()});
      prefilled = news.prefilled;
      new_tokens = news.new_tokens;
    }
    return {};
  }

  // How many tokens of the new line stand in KV; one at least is left to run, for its logits.
  std::size_t stored_prefix(std::span<const TokenId> ids, bool anew) const {
    const std::span<const TokenId> computed = session_.computed;
    if (anew) return std::min(engine::common_prefix(computed, ids), ids.size() - 1);
    std::size_t common = engine::common_prefix(computed, line_);
    if (common == line_.size()) common += engine::common_prefix(computed.subspan(common), ids);
    return std::min(common, line_.size() + ids.size() - 1);
  }

  Session::State& session_;
  Runtime::State& runtime_;
  std::vector<TokenId>& line_;
  const GenerateOptions& options_;
  FunctionRef<void(std::string_view)> on_text_;
  OnProgress on_progress_;
  const CancellationToken& cancel_;
  const std::span<const TokenId> recorded_;
};

}  // namespace

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

std::size_t Session::tokens() const { return state_ ? state_->line.size() : 0; }

Result<Session> Runtime::new_session() const {
  return Session(std::make_unique<Session::State>(state_, kv::Line(*state_->kv)));
}

Result<Generation> Session::generate(const Prompt& prompt, const GenerateOptions& options,
                                     FunctionRef<void(std::string_view)> on_text,
                                     OnProgress on_progress, const CancellationToken* cancel) {
  static const CancellationToken kNever;
  if (!state_) return fail(ErrorKind::invalid_argument, "the session was moved from");
  OLLM_TRY_VOID(runtime::check_may_call(*state_->runtime));
  OLLM_TRY(const Use use, Use::begin(*state_));
  return Generator(*state_, options, on_text, on_progress, cancel ? *cancel : kNever).run(prompt);
}

namespace {

// Extends a line by these tokens with keys and values that are random.
Result<void> fill_with(Session::State& state, std::span<const TokenId> tokens,
                       OnProgress on_progress, const CancellationToken& cancel) {
  Runtime::State& runtime = *state.runtime;
  const runtime::Turn turn(runtime);
  const std::size_t first = state.kv->tokens();
  const std::size_t context = runtime.execution().context_tokens;
  if (runtime.kept_kv && runtime.execution().kv.reuses) {
    return fail(ErrorKind::invalid_argument,
                "keys and values of no meaning would be found as those of these tokens: plan with "
                "use_cache = false");
  }
  if (first != state.line.size()) {
    return fail(ErrorKind::invalid_argument,
                "the session's last token was not computed yet: it can be filled at its beginning");
  }
  if (tokens.size() > context - first) {
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("{} tokens after {}, but {} were planned for", tokens.size(), first, context));
  }
  state.line.insert(state.line.end(), tokens.begin(), tokens.end());
  const Result<void> filled = kv::extend_at_random(
      *state.kv, std::span<const TokenId>(state.line).subspan(first),
      runtime.engine->options().max_rows,
      [&](std::size_t done) {
        if (on_progress) on_progress({Stage::write, done, tokens.size()});
      },
      cancel);
  state.line.resize(state.kv->tokens());
  state.computed = state.line;
  return filled;
}

const CancellationToken& or_never(const CancellationToken* cancel) {
  static const CancellationToken kNever;
  return cancel != nullptr ? *cancel : kNever;
}

}  // namespace

Result<void> fill_at_random(Session& session, std::size_t tokens, OnProgress on_progress,
                            const CancellationToken* cancel) {
  if (!session.state_) return fail(ErrorKind::invalid_argument, "the session was moved from");
  Session::State& state = *session.state_;
  OLLM_TRY_VOID(runtime::check_may_call(*state.runtime));
  OLLM_TRY(const Use use, Use::begin(state));
  const std::size_t context = state.runtime->execution().context_tokens;
  if (tokens > context) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} tokens, but {} were planned for", tokens, context));
  }
  const std::size_t vocab = state.runtime->composition().vocab_size;
  std::vector<TokenId> ids(tokens);
  for (std::size_t i = 0; i < tokens; ++i)
    ids[i] = static_cast<TokenId>(((state.line.size() + i) * 7919 + 17) % vocab);
  return fill_with(state, ids, on_progress, or_never(cancel));
}

Result<Generation> replay(Session& session, const RecordedAnswer& recorded, OnProgress on_progress,
                          const CancellationToken* cancel) {
  if (!session.state_) return fail(ErrorKind::invalid_argument, "the session was moved from");
  Session::State& state = *session.state_;
  OLLM_TRY_VOID(runtime::check_may_call(*state.runtime));
  OLLM_TRY(const Use use, Use::begin(state));
  if (recorded.answer.empty() || !state.line.empty()) {
    return fail(ErrorKind::invalid_argument,
                state.line.empty() ? "the recorded answer is empty"
                                   : "an answer is replayed on a session without tokens");
  }
  OLLM_TRY_VOID(runtime::check_ids(*state.runtime, recorded.prompt, 0));
  OLLM_TRY_VOID(runtime::check_ids(*state.runtime, recorded.answer, recorded.prompt.size()));
  const std::size_t last = recorded.prompt.size() - 1;
  OLLM_TRY_VOID(
      fill_with(state, std::span(recorded.prompt).first(last), on_progress, or_never(cancel)));
  GenerateOptions options;
  options.max_new_tokens = recorded.answer.size();
  options.ignore_eos = true;
  return Generator(state, options, nullptr, on_progress, or_never(cancel), recorded.answer)
      .run(Prompt::tokens({recorded.prompt[last]}));
}

}  // namespace ollm
