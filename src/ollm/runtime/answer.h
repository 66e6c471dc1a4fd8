// One answer: chooses tokens from logits, turns them into text, and ends at end tokens, stop texts
// and limits. Leaves to others: which line it is on and what it goes on from (session.cc,
// ticket.cc), when its rows run (engine/scheduler.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ollm/engine/draft_depth.h"
#include "ollm/engine/job.h"
#include "ollm/engine/prompt_lookup.h"
#include "ollm/ollm.h"
#include "ollm/runtime/state.h"
#include "ollm/runtime/stop_strings.h"
#include "ollm/sampling/sampler.h"

namespace ollm::runtime {

/// The options of a choice, with the maker's where they are asked for. Errors: invalid_argument
/// for what is outside of its limits.
Result<sampling::Options> sampling_options(const Runtime::State& state,
                                           const GenerateOptions& options);

/// The scheduler's calls come on the thread that drives it or on its pool, all others from the one
/// who waits for the answer.
class Answer final : public engine::Job {
 public:
  /// `line`: the prompt's tokens, which grow here; nobody else touches them until it is over.
  /// `begin_s`: when the clock of its report began. All must outlive it.
  Answer(Runtime::State& state, const GenerateOptions& options, const sampling::Options& sampling,
         std::vector<TokenId>& line, std::size_t max_new, const CancellationToken& cancel,
         double begin_s);
  /// The same on a line of its own; `cancel` may be null.
  Answer(Runtime::State& state, const GenerateOptions& options, const sampling::Options& sampling,
         std::vector<TokenId>&& line, std::size_t max_new, const CancellationToken* cancel,
         double begin_s);

  /// What is new since this was last asked.
  struct News {
    std::string text;
    std::vector<TokenId> ids;
    std::vector<sampling::TokenLogProbs> log_probs;  // of these, where they were asked for
    std::size_t prefilled = 0;  // tokens of the prompt that were computed in all
    std::size_t prefill_total = 0;
    std::size_t new_tokens = 0;  // in all
    bool over = false;
  };
  void take_news(News& news);
  /// Whether there is some.
  bool has_news() const { return changes_.load(std::memory_order_acquire) != taken_; }

  bool over() const { return over_.load(std::memory_order_acquire); }
  /// Ends it as soon as may be. Any thread.
  void abandon() { abandoned_.store(true, std::memory_order_relaxed); }

  /// The tokens that take the place of those it chooses. Before it is submitted.
  void replay(std::span<const TokenId> recorded) { recorded_ = recorded; }
  /// That nobody takes its news, but all of it at the end.
  void take_whole() { whole_.store(true, std::memory_order_relaxed); }

  /// Once it is over: why nothing was made, how it ended.
  const std::optional<Error>& error() const { return error_; }
  FinishReason finish_reason() const { return out_.finish_reason; }
  /// Once it is over: what was made, or why nothing was. `admitted`: whether its line ever ran.
  Result<Generation> result();
  bool admitted() const { return admitted_; }
  std::size_t max_new() const { return max_new_; }

  std::span<const TokenId> tokens() const override { return line_; }
  std::size_t first_logit() const override {
    return options_.prompt_log_probs && !decoding_ ? 0 : line_.size() - 1;
  }
  bool cancelled() const override;
  bool rests() const override;
  bool may_draft() const override { return lookup_.has_value() && decoding_; }
  std::span<const TokenId> drafts(std::size_t most) override;
  void judge(std::size_t drafts, std::size_t accepted) override;
  void began(std::size_t cached) override;
  Result<std::optional<TokenId>> take_logits(std::size_t position, std::span<float> logits,
                                             sampling::Workspaces& workspaces) override;
  bool swept(std::size_t computed, double share) override;
  void ended(Result<void> how, std::size_t computed) override;

 private:
  Answer(Runtime::State& state, const GenerateOptions& options, const sampling::Options& sampling,
         std::vector<TokenId>* line, std::vector<TokenId> own_line, std::size_t max_new,
         const CancellationToken* cancel, double begin_s);
  bool is_end(TokenId id) const;
  std::optional<TokenId> finish(FinishReason reason);
  void show(std::string_view piece);
  void time(double now);
  void tell();
  DiskCost& cost() { return decoding_ ? timing_.decode_cost : timing_.prefill_cost; }

  Runtime::State& state_;
  const GenerateOptions options_;
  std::vector<TokenId> own_line_;
  std::vector<TokenId>& line_;
  const std::size_t prompt_tokens_;
  const std::size_t max_new_;
  const CancellationToken* const cancel_;
  const double begin_s_;

  const sampling::Options sampling_;
  std::optional<sampling::Sampler> sampler_;    // while it runs: what waits takes no more than ids
  std::optional<engine::PromptLookup> lookup_;  // none where nothing is guessed
  engine::DraftDepth depth_;
  std::size_t match_ = 0;  // of the guesses that run
  std::optional<Text::Detokenizer> stream_;
  StopStrings stops_;
  std::span<const TokenId> recorded_;  // in place of what is chosen
  bool chosen_all_ = false;
  bool admitted_ = false;
  bool decoding_ = false;
  std::size_t first_ = 0;  // tokens that stood in KV when it began
  Timing timing_;
  double decode_begin_s_ = 0;
  std::optional<Error> error_;

  std::mutex mutex_;
  // guarded by mutex_ as long as it is not over
  Generation out_;
  std::size_t prefilled_ = 0;

  // of who waits
  std::size_t shown_ = 0;  // bytes of text
  std::size_t shown_ids_ = 0;
  std::uint64_t taken_ = 0;

  std::atomic<std::uint64_t> changes_{0};
  std::atomic<std::uint64_t> untaken_bytes_{0};
  std::atomic<bool> over_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> whole_{false};
};

}  // namespace ollm::runtime
