// A request: several answers to one prompt, each a line of its own among those that run.
// Leaves to others: how an answer is made (answer.h), and beside which others
// (engine/scheduler.h).
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/runtime/answer.h"
#include "ollm/runtime/prompt_ids.h"
#include "ollm/runtime/state.h"

namespace ollm {
namespace {

// One answer, on a line of its own.
struct Told {
  std::shared_ptr<runtime::Answer> answer;  // shared with the scheduler, as long as it runs
  bool all = false;                         // its last piece was taken
};

Error moved_from() { return fail(ErrorKind::invalid_argument, "the ticket was moved from"); }

// What several answers took together.
Report report_of(const std::vector<Generation>& answers) {
  Report report = answers.front().report;
  for (std::size_t i = 1; i < answers.size(); ++i) {
    const Report& other = answers[i].report;
    report.new_tokens += other.new_tokens;
    report.decode_tokens_per_second += other.decode_tokens_per_second;
    report.streamed_bytes += other.streamed_bytes;
    report.io_wait_s += other.io_wait_s;
    report.io_cpu_s += other.io_cpu_s;
    report.kv_bytes_read += other.kv_bytes_read;
    report.kv_bytes_written += other.kv_bytes_written;
    report.kv_corrupt_blocks += other.kv_corrupt_blocks;
    report.draft_tokens += other.draft_tokens;
    report.draft_accepted += other.draft_accepted;
    report.experts_wanted += other.experts_wanted;
    report.experts_kept += other.experts_kept;
    report.experts_guessed += other.experts_guessed;
    report.wrong_guess_bytes += other.wrong_guess_bytes;
  }
  return report;
}

}  // namespace

struct Ticket::State {
  explicit State(std::shared_ptr<Runtime::State> loaded) : runtime(std::move(loaded)) {}
  ~State() {
    cancel();
    // Its lines, if no sweep runs at this moment; else who drives does it.
    if (runtime::check_may_call(*runtime).ok()) runtime->scheduler->try_to_end_cancelled();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void cancel() {
    for (const Told& told : answers) told.answer->abandon();
  }
  // The one of which there is something to tell, or null.
  Told* with_news() {
    for (Told& told : answers)
      if (!told.all && told.answer->has_news()) return &told;
    return nullptr;
  }
  bool told_all() const {
    return std::all_of(answers.begin(), answers.end(), [](const Told& told) { return told.all; });
  }
  bool over() const {
    return std::all_of(answers.begin(), answers.end(),
                       [](const Told& told) { return told.answer->over(); });
  }

  std::shared_ptr<Runtime::State> runtime;  // shared: keeps the weights as long as it lives
  std::vector<Told> answers;
  bool waited_for = false;
};

Ticket::Ticket(std::unique_ptr<State> state) : state_(std::move(state)) {}
Ticket::Ticket(Ticket&&) noexcept = default;
Ticket& Ticket::operator=(Ticket&&) noexcept = default;
Ticket::~Ticket() = default;

Result<Ticket> Runtime::submit(const Request& request) const {
  const double begin = monotonic_seconds();
  Runtime::State& runtime = *state_;
  OLLM_TRY_VOID(runtime::check_may_call(runtime));
  if (request.answers == 0 || request.answers > kMostAnswers) {
    return fail(ErrorKind::invalid_argument, fmt::format("{} answers to one prompt: 1 to {} can be",
                                                         request.answers, kMostAnswers));
  }
  const GenerateOptions& options = request.options;
  OLLM_TRY(sampling::Options sampling, runtime::sampling_options(runtime, options));
  std::vector<TokenId> encoded;
  OLLM_TRY(const runtime::PromptIds given,
           runtime::prompt_ids(runtime, request.prompt, options.chat_template, false, encoded));
  const std::span<const TokenId> ids = given.ids;
  OLLM_TRY_VOID(runtime::check_ids(runtime, ids, 0));
  const std::size_t context = runtime.execution().context_tokens;
  const std::size_t max_new = std::min(options.max_new_tokens, context - ids.size() + 1);
  engine::Terms terms;
  terms.priority = request.priority;
  terms.room = std::min(context, ids.size() + max_new);
  terms.entry = given.entry(ids.size());
  auto state = std::make_unique<Ticket::State>(state_);
  GenerateOptions of_answer = options;
  for (std::size_t i = 0; i < request.answers; ++i) {
    state->answers.push_back({std::make_shared<runtime::Answer>(
        runtime, of_answer, sampling, std::vector<TokenId>(ids.begin(), ids.end()), max_new,
        request.cancel, begin)});
    ++sampling.seed;
    of_answer.prompt_log_probs = false;  // the first one's are those of all
  }
  for (const Told& told : state->answers) {
    // Where the logits of the prompt are wanted, nothing that is stored spares a token.
    terms.reuses = !(options.prompt_log_probs && &told == &state->answers.front());
    runtime.scheduler->submit(told.answer, terms);
  }
  return Ticket(std::move(state));
}

bool Ticket::ready() const {
  return state_ == nullptr || state_->told_all() || state_->with_news() != nullptr;
}

Result<std::optional<Piece>> Ticket::next() {
  if (!state_) return moved_from();
  OLLM_TRY_VOID(runtime::check_may_call(*state_->runtime));
  while (!state_->told_all()) {
    state_->runtime->scheduler->run_until([&] { return state_->with_news() != nullptr; });
    Told* told = state_->with_news();
    if (told == nullptr)
      return fail(ErrorKind::internal, "nothing is left to run, and an answer is not there");
    runtime::Answer::News news;
    told->answer->take_news(news);
    told->all = news.over;
    if (news.over && told->answer->error()) return *told->answer->error();
    Piece piece;
    piece.answer = static_cast<std::size_t>(told - state_->answers.data());
    piece.text = std::move(news.text);
    piece.ids = std::move(news.ids);
    piece.log_probs = std::move(news.log_probs);
    piece.prefilled = news.prefilled;
    piece.prefill_total = news.prefill_total;
    if (news.over) piece.finish_reason = told->answer->finish_reason();
    return std::optional(std::move(piece));
  }
  return std::optional<Piece>();
}

void Ticket::cancel() {
  if (state_) state_->cancel();
}

Result<Answers> Ticket::wait() {
  if (!state_) return moved_from();
  OLLM_TRY_VOID(runtime::check_may_call(*state_->runtime));
  if (state_->waited_for)
    return fail(ErrorKind::invalid_argument, "the ticket's answers were taken before");
  for (const Told& told : state_->answers) told.answer->take_whole();
  state_->runtime->scheduler->run_until([&] { return state_->over(); });
  if (!state_->over())
    return fail(ErrorKind::internal, "nothing is left to run, and an answer is not there");
  state_->waited_for = true;
  Answers out;
  std::optional<Error> error;
  for (Told& told : state_->answers) {
    told.all = true;
    Result<Generation> made = told.answer->result();
    if (made.ok()) {
      out.answers.push_back(std::move(made).value());
    } else if (!error) {
      error = made.error();
    }
  }
  if (error) return *error;
  out.report = report_of(out.answers);
  return out;
}

Result<std::size_t> Ticket::wait_any(std::span<Ticket* const> tickets,
                                     const CancellationToken* stop) {
  if (tickets.empty()) return fail(ErrorKind::invalid_argument, "there is no ticket to wait for");
  for (const Ticket* ticket : tickets) {
    if (ticket == nullptr || !ticket->state_) return moved_from();
    if (ticket->state_->runtime != tickets[0]->state_->runtime)
      return fail(ErrorKind::invalid_argument, "the tickets are of several runtimes");
  }
  OLLM_TRY_VOID(runtime::check_may_call(*tickets[0]->state_->runtime));
  const auto first_ready = [&] {
    return std::find_if(tickets.begin(), tickets.end(),
                        [](const Ticket* ticket) { return ticket->ready(); });
  };
  const auto stopped = [&] { return stop != nullptr && stop->cancelled(); };
  tickets[0]->state_->runtime->scheduler->run_until(
      [&] { return stopped() || first_ready() != tickets.end(); });
  const auto found = first_ready();
  if (found == tickets.end() && stopped()) OLLM_TRY_VOID(stop->check());
  if (found == tickets.end())
    return fail(ErrorKind::internal, "nothing is left to run, and no answer is there");
  return static_cast<std::size_t>(found - tickets.begin());
}

}  // namespace ollm
