// A line of tokens: prompt in, text out, KV kept between turns.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/clock.h"
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
  State(std::shared_ptr<Runtime::State> loaded, kv::Sequence sequence)
      : runtime(std::move(loaded)), kv(std::move(sequence)) {}

  std::shared_ptr<Runtime::State> runtime;  // shared: keeps the weights as long as it lives
  kv::Sequence kv;
  std::vector<TokenId> ids;  // all tokens of the line; the last may not stand in KV yet
};

namespace {

// One call of generate: what stays the same over its tokens, and what grows.
class Generator {
 public:
  Generator(Runtime::State& runtime, kv::Sequence& kv, std::vector<TokenId>& line,
            const GenerateOptions& options, FunctionRef<void(std::string_view)> on_text,
            OnProgress on_progress, const CancellationToken& cancel)
      : runtime_(runtime),
        kv_(kv),
        line_(line),
        options_(options),
        on_text_(on_text),
        on_progress_(on_progress),
        cancel_(cancel),
        stops_(options.stop) {}

  Result<Generation> run(const Prompt& prompt) {
    begin_ = monotonic_seconds();
    OLLM_TRY_VOID(take_prompt(prompt));
    OLLM_TRY_VOID(make_sampler());
    if (runtime_.text) stream_.emplace(*runtime_.text, true);
    out_.ids.reserve(max_new_);
    out_.text.reserve(max_new_ * 8);
    Result<void> done = generate();
    if (!done.ok()) {
      if (done.error().kind != ErrorKind::cancelled) return std::move(done).error();
      out_.finish_reason = FinishReason::cancelled;
    }
    if (stream_ && !stops_.stopped()) {
      show(stops_.push(stream_->finish()));
      show(stops_.finish());
    }
    report();
    return std::move(out_);
  }

 private:
  // The tokens that are new to the line: what stands in KV already is not computed again.
  Result<void> take_prompt(const Prompt& prompt) {
    std::vector<TokenId> ids = prompt.ids;
    if (prompt.text || !prompt.messages.empty()) {
      if (!runtime_.text) {
        return fail(ErrorKind::not_found,
                    "the model's folder has no tokenizer.json: it runs on token ids only");
      }
      OLLM_TRY(EncodedPrompt encoded, runtime_.text->encode_prompt(prompt, options_.chat_template));
      ids = std::move(encoded.ids);
    }
    // A conversation is rendered as a whole: the part that it shares with this line is kept. All
    // else goes on behind the line. Nothing is changed before everything was checked.
    const bool anew = !prompt.messages.empty();
    const std::size_t size = anew ? ids.size() : line_.size() + ids.size();
    const std::size_t context = runtime_.execution().context_tokens;
    if (size == 0) {
      return fail(ErrorKind::invalid_argument,
                  "the prompt is empty: there is no token to go on from");
    }
    if (size > context) {
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("the prompt makes {} tokens, but {} were planned for", size, context));
    }
    std::size_t cached = kv_.tokens();
    if (anew) {
      const std::size_t stored = std::min(kv_.tokens(), ids.size() - 1);  // one is left to run
      cached = 0;
      while (cached < stored && ids[cached] == line_[cached]) ++cached;
      OLLM_TRY_VOID(kv_.truncate(cached));
      line_ = std::move(ids);
    } else {
      line_.insert(line_.end(), ids.begin(), ids.end());
    }
    out_.report.prompt_tokens = line_.size();
    out_.report.cached_tokens = cached;
    max_new_ = std::min(options_.max_new_tokens, context - line_.size() + 1);
    OLLM_TRY_VOID(kv_.reserve(std::min(context, line_.size() + max_new_)));
    line_.reserve(line_.size() + max_new_);
    return {};
  }

  Result<void> make_sampler() {
    engine::SamplingOptions sampling = options_.sampling;
    const checkpoint::GenerationConfig& makers = runtime_.generation;
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
    const std::size_t vocab = runtime_.composition().head.out;
    OLLM_TRY_VOID(engine::check(sampling, vocab));
    sampler_.emplace(sampling, vocab);
    for (const TokenId id : line_) sampler_->observe(id);
    return {};
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
    timing_.at_begin = timing_.at_decode = runtime_.tape->stream_cost();
    OLLM_TRY_VOID(runtime_.engine->prefill(
        kv_, std::span<const TokenId>(line_).subspan(first),
        [&](std::size_t done) {
          if (on_progress_) on_progress_({Stage::prefill, done, total});
        },
        choose, cancel_));
    timing_.prefilled = total;
    timing_.prefill_s = timing_.first_token_s = monotonic_seconds() - begin_;
    timing_.at_decode = runtime_.tape->stream_cost();
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
      OLLM_TRY_VOID(runtime_.engine->prefill(kv_, {&line_.back(), 1}, nullptr, choose, cancel_));
      ++timing_.decoded;
    }
  }

  void show(const std::string& piece) {
    if (piece.empty()) return;
    out_.text += piece;
    if (on_text_) on_text_(piece);
  }

  void report() {
    timing_.at_end = runtime_.tape->stream_cost();
    Report report = runtime::make_report(runtime_, timing_);
    report.prompt_tokens = out_.report.prompt_tokens;
    report.cached_tokens = out_.report.cached_tokens;
    report.new_tokens = out_.ids.size();
    out_.report = std::move(report);
  }

  Runtime::State& runtime_;
  kv::Sequence& kv_;
  std::vector<TokenId>& line_;
  const GenerateOptions& options_;
  FunctionRef<void(std::string_view)> on_text_;
  OnProgress on_progress_;
  const CancellationToken& cancel_;

  std::optional<engine::Sampler> sampler_;
  std::optional<Text::Stream> stream_;
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

std::size_t Session::tokens() const { return state_->ids.size(); }

Result<Session> Runtime::new_session() const {
  return Session(std::make_unique<Session::State>(state_, kv::Sequence(*state_->kv)));
}

Result<Generation> Session::generate(const Prompt& prompt, const GenerateOptions& options,
                                     FunctionRef<void(std::string_view)> on_text,
                                     OnProgress on_progress, const CancellationToken* cancel) {
  static const CancellationToken kNever;
  return Generator(*state_->runtime, state_->kv, state_->ids, options, on_text, on_progress,
                   cancel ? *cancel : kNever)
      .run(prompt);
}

}  // namespace ollm
