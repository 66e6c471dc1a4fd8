#include "ollm/runtime/answer.h"

#include <algorithm>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/sampling/log_probs.h"

namespace ollm::runtime {
namespace {

// Whose text a list is made for at once; longer answers grow as they come.
constexpr std::size_t kReservedTokens = std::size_t{1} << 16;
// Text that nobody took yet, beyond which nothing more is made.
constexpr std::uint64_t kMostUntakenBytes = std::uint64_t{64} << 10;

}  // namespace

Result<sampling::Options> sampling_options(const Runtime::State& state,
                                           const GenerateOptions& options) {
  sampling::Options sampling = options.sampling;
  const checkpoint::GenerationConfig& makers = state.generation;
  if (options.model_defaults) OLLM_TRY_VOID(makers.check_sampling());
  if (options.model_defaults && makers.do_sample.value_or(false)) {
    sampling.temperature = makers.temperature.value_or(1.0);
    if (makers.top_k && *makers.top_k > 0) sampling.top_k = static_cast<std::size_t>(*makers.top_k);
    sampling.top_p = makers.top_p;
    sampling.min_p = makers.min_p;
    sampling.typical_p = makers.typical_p;
  }
  if (options.model_defaults) sampling.repetition_penalty = makers.repetition_penalty.value_or(1.0);
  OLLM_TRY_VOID(sampling::check(sampling, state.composition().head.out));
  return sampling;
}

Answer::Answer(Runtime::State& state, const GenerateOptions& options,
               const sampling::Options& sampling, std::vector<TokenId>& line, std::size_t max_new,
               const CancellationToken& cancel, double begin_s)
    : Answer(state, options, sampling, &line, {}, max_new, &cancel, begin_s) {}

Answer::Answer(Runtime::State& state, const GenerateOptions& options,
               const sampling::Options& sampling, std::vector<TokenId>&& line, std::size_t max_new,
               const CancellationToken* cancel, double begin_s)
    : Answer(state, options, sampling, nullptr, std::move(line), max_new, cancel, begin_s) {}

Answer::Answer(Runtime::State& state, const GenerateOptions& options,
               const sampling::Options& sampling, std::vector<TokenId>* line,
               std::vector<TokenId> own_line, std::size_t max_new, const CancellationToken* cancel,
               double begin_s)
    : state_(state),
      options_(options),
      own_line_(std::move(own_line)),
      line_(line != nullptr ? *line : own_line_),
      prompt_tokens_(line_.size()),
      max_new_(max_new),
      cancel_(cancel),
      begin_s_(begin_s),
      sampling_(sampling),
      depth_(state.execution().speculation.on() ? state.execution().speculation.row_cost() : 1),
      stops_(options.stop) {
  out_.report.prompt_tokens = prompt_tokens_;
}

bool Answer::cancelled() const {
  return abandoned_.load(std::memory_order_relaxed) || (cancel_ != nullptr && cancel_->cancelled());
}

bool Answer::rests() const {
  return !whole_.load(std::memory_order_relaxed) &&
         untaken_bytes_.load(std::memory_order_relaxed) > kMostUntakenBytes;
}

void Answer::tell() { changes_.fetch_add(1, std::memory_order_release); }

void Answer::take_news(News& news) {
  const std::lock_guard lock(mutex_);
  // With the count of changes: an end that comes between the two would be told to nobody.
  news.over = over();
  taken_ = changes_.load(std::memory_order_acquire);
  news.text.assign(out_.text, shown_);
  shown_ = out_.text.size();
  news.ids.assign(out_.ids.begin() + static_cast<std::ptrdiff_t>(shown_ids_), out_.ids.end());
  const std::size_t told = std::min(shown_ids_, out_.log_probs.size());
  news.log_probs.assign(out_.log_probs.begin() + static_cast<std::ptrdiff_t>(told),
                        out_.log_probs.end());
  shown_ids_ = out_.ids.size();
  untaken_bytes_.store(0, std::memory_order_relaxed);
  news.prefilled = prefilled_;
  news.prefill_total = prompt_tokens_ - first_;
  news.new_tokens = out_.ids.size();
}

Result<Generation> Answer::result() {
  if (error_) return *error_;
  return std::move(out_);
}

// What the scheduler calls ------------------------------------------------------------------------

void Answer::began(std::size_t cached) {
  // What was looked up and read for it; or a damaged block, which only the last sweep can have met.
  cost().add(take_cost(state_), 1);
  if (admitted_) {
    cost().kv.corrupt_blocks += std::exchange(state_.sweep_cost.kv.corrupt_blocks, 0);
    return;
  }
  admitted_ = true;
  sampler_.emplace(sampling_, state_.composition().head.out, sampling::Sampler::Lent());
  for (const TokenId id : line_) sampler_->observe(id);
  if (state_.text) stream_.emplace(*state_.text, true);
  if (state_.execution().speculation.on() && max_new_ > 1)
    lookup_.emplace(prompt_tokens_ + max_new_);
  if (options_.prompt_log_probs) out_.prompt_log_probs.resize(prompt_tokens_ - 1);
  const std::size_t reserved = std::min(max_new_, kReservedTokens);
  line_.reserve(prompt_tokens_ + reserved);
  const std::lock_guard lock(mutex_);
  out_.ids.reserve(reserved);
  out_.text.reserve(reserved * 8);
  first_ = cached;
  out_.report.cached_tokens = cached;
}

std::span<const TokenId> Answer::drafts(std::size_t most) {
  lookup_->follow(line_);
  // The last token that is wanted is the one behind all guesses.
  most = std::min(most, max_new_ - out_.ids.size() - 1);
  const auto found = lookup_->find(line_);
  if (!found) return {};
  match_ = found->tokens;
  const std::size_t depth = depth_.depth(match_, std::min(most, line_.size() - found->next));
  return std::span<const TokenId>(line_).subspan(found->next, depth);
}

void Answer::judge(std::size_t drafts, std::size_t accepted) {
  depth_.judge(match_, drafts, accepted);
  const std::lock_guard lock(mutex_);
  out_.report.draft_tokens += drafts;
  out_.report.draft_accepted += accepted;
}

bool Answer::is_end(TokenId id) const {
  const std::vector<TokenId>& ends = state_.end_tokens;
  return !options_.ignore_eos && std::find(ends.begin(), ends.end(), id) != ends.end();
}

std::optional<TokenId> Answer::finish(FinishReason reason) {
  out_.finish_reason = reason;
  chosen_all_ = true;
  return std::nullopt;
}

void Answer::show(std::string_view piece) {
  out_.text += piece;
  untaken_bytes_.fetch_add(piece.size(), std::memory_order_relaxed);
}

void Answer::time(double now) {
  if (decoding_) {
    timing_.decode_s = now - decode_begin_s_;
    return;
  }
  timing_.prefilled = prompt_tokens_ - first_;
  timing_.prefill_s = timing_.first_token_s = now - begin_s_;
  decode_begin_s_ = now;
}

Result<std::optional<TokenId>> Answer::take_logits(std::size_t position, std::span<float> logits,
                                                   sampling::Workspaces& workspaces) {
  if (position + 1 < prompt_tokens_) {
    const std::lock_guard lock(mutex_);
    // By its place: rows whose keys and values were damaged are computed again.
    out_.prompt_log_probs[position] =
        sampling::log_probs(logits, line_[position + 1], options_.top_log_probs.value_or(0));
    return std::optional<TokenId>();
  }
  std::optional<sampling::Workspaces::Lease> lease;
  if (sampler_->needs_workspace()) {
    lease.emplace(workspaces);
    sampler_->use(**lease);
  }
  OLLM_TRY(TokenId id, sampler_->sample(logits, line_.size()));
  if (out_.ids.size() < recorded_.size()) id = recorded_[out_.ids.size()];
  time(monotonic_seconds());
  const std::lock_guard lock(mutex_);
  if (max_new_ == 0) return finish(FinishReason::length);
  line_.push_back(id);
  if (decoding_) ++timing_.decoded;
  if (is_end(id)) return finish(FinishReason::stop);
  out_.ids.push_back(id);
  if (options_.top_log_probs) {
    out_.log_probs.push_back(sampling::log_probs(logits, id, *options_.top_log_probs));
    untaken_bytes_.fetch_add(sizeof(sampling::TokenLogProbs) +
                                 out_.log_probs.back().top.size() * sizeof(sampling::TokenLogProb),
                             std::memory_order_relaxed);
  }
  if (stream_) {
    // Models have rows beyond the tokenizer's tokens, to round the vocabulary; they mean no text.
    const Result<std::string> piece = stream_->push(id);
    if (piece.ok()) show(stops_.push(*piece));
  }
  if (stops_.stopped()) return finish(FinishReason::stop);
  if (out_.ids.size() >= max_new_) return finish(FinishReason::length);
  return std::optional(id);
}

bool Answer::swept(std::size_t computed, double share) {
  cost().add(state_.sweep_cost, share);
  {
    const std::lock_guard lock(mutex_);
    prefilled_ = std::min(computed, prompt_tokens_) - std::min(first_, computed);
  }
  if (decoding_) {
    ++timing_.decode_sweeps;
    timing_.decode_sweep_bytes +=
        state_.sweep_cost.weights.bytes_read + state_.sweep_cost.kv.bytes_read;
  }
  decoding_ = decoding_ || computed >= prompt_tokens_;
  tell();
  return !chosen_all_;
}

void Answer::ended(Result<void> how, std::size_t computed) {
  const std::lock_guard lock(mutex_);
  if (!how.ok() && how.error().kind == ErrorKind::cancelled) {
    out_.finish_reason = FinishReason::cancelled;
  } else if (!how.ok()) {
    error_ = std::move(how).error();
  }
  if (!error_ && stream_ && !stops_.stopped()) {
    show(stops_.push(stream_->finish()));
    show(stops_.finish());
  }
  if (admitted_) {
    if (state_.kept_kv && computed > first_) state_.kept_kv->computed(computed - first_);
    cost().add(take_cost(state_), 1);
    Report report = make_report(state_, timing_);
    report.prompt_tokens = out_.report.prompt_tokens;
    report.cached_tokens = out_.report.cached_tokens;
    report.new_tokens = out_.ids.size();
    report.draft_tokens = out_.report.draft_tokens;
    report.draft_accepted = out_.report.draft_accepted;
    out_.report = std::move(report);
  }
  sampler_.reset();
  lookup_.reset();
  over_.store(true, std::memory_order_release);
  tell();
}

Submitted::Submitted(Runtime::State& state, std::shared_ptr<Answer> answer,
                     const engine::Terms& terms)
    : state_(state), answer_(std::move(answer)) {
  state_.scheduler->submit(answer_, terms);
}

Submitted::~Submitted() {
  answer_->abandon();
  state_.scheduler->run_until([&] { return answer_->over(); });
}

}  // namespace ollm::runtime
