// Requests of a batch on a loaded model: as many at once as were planned for, each answered as soon
// as it is done. Leaves to others: where rows come from and answers go (batch.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/ollm.h"
#include "ollm/openai/batch_row.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/response.h"

namespace ollm::cli {

/// A request that was understood.
struct ReadyRequest {
  openai::CompletionRequest request;
  std::vector<std::vector<TokenId>> ids;  // of each prompt
};

/// What a row asks for, against the model; or why it is refused.
std::optional<openai::RequestError> prepare(const openai::BatchRow& row,
                                            const openai::ServedModel& model,
                                            const GenerateOptions& defaults, ReadyRequest& out);

/// What all requests took together.
struct BatchTotals {
  std::size_t done = 0;      // answered, refusals among them
  std::size_t failed = 0;    // of 5xx
  std::uint64_t tokens = 0;  // of prompts that were computed, and new ones
  Report report;
};

class BatchRun {
 public:
  /// Gets the line of an answer. An error ends the run.
  using TakeLine = FunctionRef<Result<void>(std::string_view line)>;

  /// All must outlive it. `lines`: answers that run at once; `totals` is
  /// added to.
  BatchRun(const Runtime& runtime, const openai::ServedModel& model,
           const GenerateOptions& defaults, std::string system_fingerprint, std::size_t lines,
           const CancellationToken& cancel, BatchTotals& totals);

  /// Whether another request should be begun before the next step.
  bool has_room() const { return answers_ < 2 * lines_; }
  bool idle() const { return running_.empty(); }

  /// Begins a request, or answers it at once where it is refused. Errors: those of `take`.
  Result<void> begin(openai::BatchRow row, TakeLine take);
  /// Goes on until something is new; answers what is done. Errors: those of `take`; cancelled.
  Result<void> step(TakeLine take);

 private:
  struct Running {
    openai::BatchRow row;
    ReadyRequest ready;
    std::vector<std::optional<Ticket>> tickets;  // of each prompt; nothing: over
    std::vector<openai::PromptAnswers> answers;  // of prompts that are not over
    openai::ResponseText text{0};                // of the others
    bool cancelled = false;                      // one of them
    std::optional<openai::RequestError> error;
    std::size_t left = 0;  // tickets that are not over
  };

  Result<void> refuse(const openai::BatchRow& row, const openai::RequestError& error,
                      TakeLine take);
  std::optional<openai::RequestError> submit(Running& running);
  void drain(Running& running, std::size_t prompt);
  void end(Running& running, std::size_t prompt);
  Result<void> answer(Running& running, TakeLine take);

  const Runtime& runtime_;
  const openai::ServedModel& model_;
  const GenerateOptions& defaults_;
  const std::string system_fingerprint_;
  const std::size_t lines_;
  const CancellationToken& cancel_;
  std::deque<Running> running_;  // a deque, as tickets are pointed at
  std::size_t answers_ = 0;      // that run or wait
  BatchTotals& totals_;
};

}  // namespace ollm::cli
