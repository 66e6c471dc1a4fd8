// A line of tokens: prompt in, text out, KV kept between turns.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/bench.h"
#include "ollm/kv/random_kv.h"
#include "ollm/plan/choose.h"
#include "ollm/runtime/state.h"
#include "ollm/runtime/stop_strings.h"

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

  std::shared_ptr<Runtime::State> runtime;  // shared: keeps the weights as long as it lives
  std::vector<TokenId> line;                // all tokens; the last may not stand in KV yet
  kv::Line kv;
  // The tokens that stand in KV: mostly those of the line, and after a call that failed also those
  // that it had computed, which the next call finds if it asks for them again.
  std::vector<TokenId> computed;
};

namespace {

// Whose text a list is made for at once; longer answers grow as they come.
constexpr std::size_t kReservedTokens = std::size_t{1} << 16;

// How many tokens both begin with.
std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  std::size_t common = 0;
  while (common < shorter && a[common] == b[common]) ++common;
  return common;
}

// The line as it was before a call, put back where the call does not come to an end.
class LineBefore {
 public:
  // `anew`: the line is replaced, else it grows. What stands in KV is its beginning.
  LineBefore(Session::State& session, bool anew) : session_(session), anew_(anew) {
    size_ = session.line.size();
    if (anew) line_.swap(session.line);
  }
  ~LineBefore() {
    std::vector<TokenId>& line = session_.line;
    // What was committed stands in KV whatever becomes of the line.
    std::vector<TokenId>& computed = session_.computed;
    computed.insert(computed.end(), line.begin() + static_cast<std::ptrdiff_t>(computed.size()),
                    line.begin() + static_cast<std::ptrdiff_t>(session_.kv.tokens()));
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

// One call of generate: what stays the same over its tokens, and what grows.
class Generator {
 public:
  Generator(Session::State& session, const GenerateOptions& options,
            FunctionRef<void(std::string_view)> on_text, OnProgress on_progress,
            const CancellationToken& cancel)
      : session_(session),
        runtime_(*session.runtime),
        kv_(session.kv),
        line_(session.line),
        options_(options),
        on_text_(on_text),
        on_progress_(on_progress),
        cancel_(cancel),
        stops_(options.stop) {}

  // Everything is checked before anything is changed, and an error on the way puts the line back:
  // the same call, corrected, gives what it gives on a session that never saw the wrong one.
  Result<Generation> run(const Prompt& prompt) {
    begin_ = monotonic_seconds();
    OLLM_TRY(const sampling::Options sampling, sampling_options());
    std::vector<TokenId> encoded;
    OLLM_TRY(const std::span<const TokenId> ids, prompt_ids(prompt, encoded));
    // A conversation is rendered as a whole, all else goes on behind the line.
    const bool anew = !prompt.messages.empty();
    OLLM_TRY_VOID(check_ids(ids, anew));
    const std::size_t size = (anew ? 0 : line_.size()) + ids.size();
    const std::size_t context = runtime_.execution().context_tokens;
    max_new_ = std::min(options_.max_new_tokens, context - size + 1);
    const std::size_t room = std::min(context, size + max_new_);
    timing_.at_begin = timing_.at_decode = runtime::disk_cost(runtime_);
    OLLM_TRY(const std::size_t cached, restart(ids, anew, room));

    LineBefore before(session_, anew);
    line_.reserve(size + std::min(max_new_, kReservedTokens));
    line_.insert(line_.end(), ids.begin(), ids.end());
    out_.report.prompt_tokens = size;
    out_.report.cached_tokens = cached;
    sampler_.emplace(sampling, vocab());
    for (const TokenId id : line_) sampler_->observe(id);
    if (runtime_.text) stream_.emplace(*runtime_.text, true);
    out_.ids.reserve(std::min(max_new_, kReservedTokens));
    out_.text.reserve(std::min(max_new_, kReservedTokens) * 8);
    Result<void> done = generate();
    if (!done.ok()) {
      if (done.error().kind != ErrorKind::cancelled) return std::move(done).error();
      out_.finish_reason = FinishReason::cancelled;
    }
    // Stopped before the first token there is no answer: the line is as it was.
    if (done.ok() || !out_.ids.empty()) before.keep_new();
    if (stream_ && !stops_.stopped()) {
      show(stops_.push(stream_->finish()));
      show(stops_.finish());
    }
    // What was computed is right, whatever ended the turn.
    kv_.keep();
    if (runtime_.kept_kv) runtime_.kept_kv->computed(kv_.tokens() - out_.report.cached_tokens);
    report();
    return std::move(out_);
  }

 private:
  std::size_t vocab() const { return runtime_.composition().head.out; }

  // The tokens of the prompt: those given, or the text's, which go into `encoded`.
  Result<std::span<const TokenId>> prompt_ids(const Prompt& prompt,
                                              std::vector<TokenId>& encoded) const {
    const int forms =
        (prompt.text ? 1 : 0) + (prompt.messages.empty() ? 0 : 1) + (prompt.ids.empty() ? 0 : 1);
    if (forms > 1) {
      return fail(ErrorKind::invalid_argument,
                  "a prompt is one of text, messages and ids; more than one is given");
    }
    if (!prompt.text && prompt.messages.empty()) return std::span<const TokenId>(prompt.ids);
    if (!runtime_.text) {
      return fail(ErrorKind::not_found,
                  "the model's folder has no tokenizer.json: it runs on token ids only");
    }
    OLLM_TRY(const std::optional<memory::Charge> charge, charge_encoding(prompt));
    if (prompt.text && !line_.empty()) {
      // What the tokenizer puts around a text is for its beginning and its end, not for its middle.
      OLLM_TRY(encoded, runtime_.text->encode(
                            *prompt.text, {.add_special = false,
                                           .parse_special = options_.chat_template.parse_special}));
    } else {
      OLLM_TRY(EncodedPrompt whole, runtime_.text->encode_prompt(prompt, options_.chat_template));
      encoded = std::move(whole.ids);
    }
    return std::span<const TokenId>(encoded);
  }

  // What encoding takes beyond what was planned for it: of a text that is far longer than the
  // context, or for which nothing was, as the caller was to bring ids.
  Result<std::optional<memory::Charge>> charge_encoding(const Prompt& prompt) const {
    std::uint64_t bytes = prompt.text ? prompt.text->size() : 0;
    for (const Message& message : prompt.messages)
      bytes += message.role.size() + message.content.size();
    // As a tree of values, and in it whatever the template makes of them: measured, 25 times its
    // source for a list of small numbers.
    constexpr std::uint64_t kJsonFactor = 32;
    const std::uint64_t variables =
        prompt.messages.empty() ? 0 : options_.chat_template.variables.size();
    std::uint64_t planned = 0;
    for (const memory::LedgerLine& line : runtime_.execution().memory.lines())
      if (line.owner == "text" && line.phase == memory::Phase::run) planned += line.bytes;
    const std::uint64_t needed = plan::encoding_bytes(bytes) + variables * kJsonFactor;
    if (needed <= planned) return std::optional<memory::Charge>();
    Result<memory::Charge> charge = runtime_.budget.charge("text", needed - planned);
    if (!charge.ok()) {
      return std::move(charge).error().within(
          fmt::format("a prompt of {} bytes (Workload::text_bytes and ids, or a larger context, "
                      "would be planned for)",
                      bytes + variables));
    }
    return std::optional<memory::Charge>(std::move(charge).value());
  }

  Result<void> check_ids(std::span<const TokenId> ids, bool anew) const {
    const std::size_t before = anew ? 0 : line_.size();
    const std::size_t context = runtime_.execution().context_tokens;
    if (before + ids.size() == 0) {
      return fail(ErrorKind::invalid_argument,
                  "the prompt is empty: there is no token to go on from");
    }
    if (before + ids.size() > context) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("the prompt makes {} tokens, but {} were planned for",
                              before + ids.size(), context));
    }
    const std::size_t known = runtime_.composition().vocab_size;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] >= 0 && static_cast<std::size_t>(ids[i]) < known) continue;
      return fail(ErrorKind::invalid_argument,
                  fmt::format("token id {} at position {}: the model has ids 0 to {}", ids[i],
                              before + i, known - 1));
    }
    return {};
  }

  // The KV line goes back to what the new line has of it, and takes what of the rest is stored; how
  // many tokens that makes. One at least is left to run, for its logits.
  Result<std::size_t> restart(std::span<const TokenId> ids, bool anew, std::size_t room) {
    std::vector<TokenId>& computed = session_.computed;
    const std::size_t resident = stored_prefix(ids, anew);
    if (!runtime_.kept_kv) {
      OLLM_TRY(const std::size_t cached, kv_.restart(resident, room));
      computed.resize(cached);
      return cached;
    }
    std::vector<TokenId> whole;
    whole.reserve(room);
    if (!anew) whole.insert(whole.end(), line_.begin(), line_.end());
    whole.insert(whole.end(), ids.begin(), ids.end());
    whole.pop_back();
    if (resident < whole.size())
      runtime_.kept_kv->settle(whole.size() - resident, on_progress_, cancel_);
    OLLM_TRY(const std::size_t cached, kv_.restart(resident, room, whole));
    computed.resize(std::min(cached, resident));
    computed.insert(computed.end(), whole.begin() + static_cast<std::ptrdiff_t>(computed.size()),
                    whole.begin() + static_cast<std::ptrdiff_t>(cached));
    return cached;
  }

  // How many tokens of the new line stand in KV; one at least is left to run, for its logits.
  std::size_t stored_prefix(std::span<const TokenId> ids, bool anew) const {
    const std::span<const TokenId> computed = session_.computed;
    if (anew) return std::min(common_prefix(computed, ids), ids.size() - 1);
    std::size_t common = common_prefix(computed, line_);
    if (common == line_.size()) common += common_prefix(computed.subspan(common), ids);
    return std::min(common, line_.size() + ids.size() - 1);
  }

  Result<sampling::Options> sampling_options() const {
    sampling::Options sampling = options_.sampling;
    const checkpoint::GenerationConfig& makers = runtime_.generation;
    if (options_.model_defaults) OLLM_TRY_VOID(makers.check_sampling());
    if (options_.model_defaults && makers.do_sample.value_or(false)) {
      sampling.temperature = makers.temperature.value_or(1.0);
      if (makers.top_k && *makers.top_k > 0)
        sampling.top_k = static_cast<std::size_t>(*makers.top_k);
      sampling.top_p = makers.top_p;
      sampling.min_p = makers.min_p;
      sampling.typical_p = makers.typical_p;
    }
    if (options_.model_defaults)
      sampling.repetition_penalty = makers.repetition_penalty.value_or(1.0);
    OLLM_TRY_VOID(sampling::check(sampling, vocab()));
    return sampling;
  }

  bool is_end(TokenId id) const {
    const std::vector<TokenId>& ends = runtime_.end_tokens;
    return !options_.ignore_eos && std::find(ends.begin(), ends.end(), id) != ends.end();
  }

  Result<void> generate() {
    Result<TokenId> next = fail(ErrorKind::internal, "no logits");
    const auto choose = [&](std::span<float> logits) {
      next = sampler_->sample(logits, line_.size());
    };
    const std::size_t first = kv_.tokens();
    const std::size_t total = line_.size() - first;
    OLLM_TRY_VOID(extend(choose, [&](std::size_t tokens) {
      if (on_progress_ && tokens > first) on_progress_({Stage::prefill, tokens - first, total});
    }));
    timing_.prefilled = total;
    timing_.prefill_s = timing_.first_token_s = monotonic_seconds() - begin_;
    timing_.at_decode = runtime::disk_cost(runtime_);
    const double decode_begin = monotonic_seconds();
    for (;;) {
      OLLM_TRY(const TokenId id, std::move(next));
      timing_.decode_s = monotonic_seconds() - decode_begin;
      if (max_new_ == 0) {
        out_.finish_reason = FinishReason::length;
        return {};
      }
      line_.push_back(id);
      if (is_end(id)) {
        out_.finish_reason = FinishReason::stop;
        return {};
      }
      out_.ids.push_back(id);
      if (stream_) {
        // Models have rows beyond the tokenizer's tokens, to round the vocabulary; they mean no
        // text.
        const Result<std::string> piece = stream_->push(id);
        if (piece.ok()) show(stops_.push(*piece));
      }
      if (on_progress_) on_progress_({Stage::decode, out_.ids.size(), max_new_});
      if (stops_.stopped()) {
        out_.finish_reason = FinishReason::stop;
        return {};
      }
      if (out_.ids.size() >= max_new_) {
        out_.finish_reason = FinishReason::length;
        return {};
      }
      OLLM_TRY_VOID(extend(choose, nullptr));
      ++timing_.decoded;
    }
  }

  // Runs what of the line does not stand in KV. A stored block that turns out to be damaged is
  // computed again, with all behind it; the same one not for ever. `progress` is told the tokens
  // that stand in KV.
  Result<void> extend(FunctionRef<void(std::span<float>)> choose,
                      FunctionRef<void(std::size_t)> progress) {
    constexpr int kAttempts = 3;
    std::map<std::size_t, int> damaged;  // by its first token
    for (;;) {
      const std::size_t first = kv_.tokens();
      Result<void> done = runtime_.engine->extend(
          kv_, std::span<const TokenId>(line_).subspan(first),
          [&](std::size_t count) {
            if (runtime_.kept_kv) runtime_.kept_kv->poll();
            if (progress) progress(first + count);
          },
          choose, cancel_);
      if (done.ok() || !kv_.is_damaged()) return done;
      const std::size_t left = kv_.mend(std::span<const TokenId>(line_).first(line_.size() - 1));
      session_.computed.resize(std::min(session_.computed.size(), left));
      if (++damaged[left] == kAttempts) {
        return fail(ErrorKind::io, std::move(done).error().message)
            .within(fmt::format("keys and values from token {} on could not be read back {} times",
                                left, kAttempts));
      }
    }
  }

  void show(const std::string& piece) {
    if (piece.empty()) return;
    out_.text += piece;
    if (on_text_) on_text_(piece);
  }

  void report() {
    timing_.at_end = runtime::disk_cost(runtime_);
    Report report = runtime::make_report(runtime_, timing_);
    report.prompt_tokens = out_.report.prompt_tokens;
    report.cached_tokens = out_.report.cached_tokens;
    report.new_tokens = out_.ids.size();
    out_.report = std::move(report);
  }

  Session::State& session_;
  Runtime::State& runtime_;
  kv::Line& kv_;
  std::vector<TokenId>& line_;
  const GenerateOptions& options_;
  FunctionRef<void(std::string_view)> on_text_;
  OnProgress on_progress_;
  const CancellationToken& cancel_;

  std::optional<sampling::Sampler> sampler_;
  std::optional<Text::Detokenizer> stream_;
  runtime::StopStrings stops_;
  std::size_t max_new_ = 0;
  Generation out_;
  runtime::Timing timing_;
  double begin_ = 0;
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
  OLLM_TRY(const runtime::Turn turn, runtime::Turn::take(*state_->runtime));
  return Generator(*state_, options, on_text, on_progress, cancel ? *cancel : kNever).run(prompt);
}

Result<void> fill_at_random(Session& session, std::size_t tokens, OnProgress on_progress,
                            const CancellationToken* cancel) {
  static const CancellationToken kNever;
  if (!session.state_) return fail(ErrorKind::invalid_argument, "the session was moved from");
  Session::State& state = *session.state_;
  Runtime::State& runtime = *state.runtime;
  OLLM_TRY(const runtime::Turn turn, runtime::Turn::take(runtime));
  const std::size_t first = state.kv.tokens();
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
  if (tokens > context - first) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} tokens after {}, but {} were planned for", tokens, first, context));
  }
  const std::size_t vocab = runtime.composition().vocab_size;
  for (std::size_t i = first; i < first + tokens; ++i)
    state.line.push_back(static_cast<TokenId>((i * 7919 + 17) % vocab));
  const Result<void> filled = kv::extend_at_random(
      state.kv, std::span<const TokenId>(state.line).subspan(first),
      runtime.engine->options().max_rows,
      [&](std::size_t done) {
        if (on_progress) on_progress({Stage::write, done, tokens});
      },
      cancel != nullptr ? *cancel : kNever);
  state.line.resize(state.kv.tokens());
  state.computed = state.line;
  return filled;
}

}  // namespace ollm
