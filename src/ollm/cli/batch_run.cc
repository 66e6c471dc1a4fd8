#include "ollm/cli/batch_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "ollm/base/value_document.h"

namespace ollm::cli {
namespace {

using openai::RequestError;

constexpr int kOk = 200;
constexpr int kServerErrors = 500;

void add(Report& sum, const Report& one) {
  sum.prompt_tokens += one.prompt_tokens;
  sum.cached_tokens += one.cached_tokens;
  sum.new_tokens += one.new_tokens;
  sum.kv_corrupt_blocks += one.kv_corrupt_blocks;
  // Of the process, as the last one saw it.
  sum.bytes_per_sweep = one.bytes_per_sweep;
  sum.seconds_per_sweep = one.seconds_per_sweep;
  sum.bound_by = one.bound_by;
  sum.peak_bytes = std::max(sum.peak_bytes, one.peak_bytes);
  sum.planned_peak_bytes = one.planned_peak_bytes;
  sum.bytes_read = std::max(sum.bytes_read, one.bytes_read);
  sum.total_s = std::max(sum.total_s, one.total_s);
  sum.load_s = one.load_s;
  if (sum.time_to_first_token_s == 0) sum.time_to_first_token_s = one.time_to_first_token_s;
}

}  // namespace

std::optional<RequestError> prepare(const openai::BatchRow& row, const openai::ServedModel& model,
                                    const GenerateOptions& defaults, ReadyRequest& out) {
  if (row.refused) return row.refused;
  if (auto wrong = openai::read_request(row.body, row.route, defaults, out.request)) return wrong;
  if (out.request.stream) return openai::refuse("stream", "an answer of a batch is no stream");
  if (!out.request.seed) out.request.options.sampling.seed = row.seed;
  return openai::encode_request(model, out.request, out.ids);
}

BatchRun::BatchRun(const Runtime& runtime, const openai::ServedModel& model,
                   const GenerateOptions& defaults, std::string system_fingerprint,
                   std::size_t lines, const CancellationToken& cancel, BatchTotals& totals)
    : runtime_(runtime),
      model_(model),
      defaults_(defaults),
      system_fingerprint_(std::move(system_fingerprint)),
      lines_(lines),
      cancel_(cancel),
      totals_(totals) {}

Result<void> BatchRun::refuse(const openai::BatchRow& row, const RequestError& error,
                              TakeLine take) {
  ++(error.status < kServerErrors ? totals_.done : totals_.failed);
  return take(openai::answer_line(row, error.status, json_dump(openai::error_body(error))));
}

Result<void> BatchRun::begin(openai::BatchRow row, TakeLine take) {
  Running running;
  if (auto wrong = prepare(row, model_, defaults_, running.ready)) return refuse(row, *wrong, take);
  running.row = std::move(row);
  if (auto wrong = submit(running)) return refuse(running.row, *wrong, take);
  answers_ += running.left * running.ready.request.n;
  running_.push_back(std::move(running));
  return {};
}

std::optional<RequestError> BatchRun::submit(Running& running) {
  const openai::CompletionRequest& asked = running.ready.request;
  running.answers.resize(running.ready.ids.size());
  running.text = openai::ResponseText(running.ready.ids.size());
  for (std::size_t i = 0; i < running.ready.ids.size(); ++i) {
    const std::vector<TokenId>& ids = running.ready.ids[i];
    running.answers[i].prompt_tokens = ids.size();
    if (asked.logprobs && asked.echo) running.answers[i].prompt_ids = ids;
  }
  for (const Request& request :
       openai::runtime_requests(asked, std::move(running.ready.ids), cancel_)) {
    Result<Ticket> ticket = runtime_.submit(request);
    if (!ticket.ok()) return openai::request_error(ticket.error());
    running.tickets.emplace_back(std::move(ticket).value());
  }
  running.left = running.tickets.size();
  return std::nullopt;
}

Result<void> BatchRun::step(TakeLine take) {
  std::vector<Ticket*> waiting;
  std::vector<std::pair<Running*, std::size_t>> of;
  for (Running& running : running_) {
    for (std::size_t i = 0; i < running.tickets.size(); ++i) {
      if (!running.tickets[i]) continue;
      waiting.push_back(&*running.tickets[i]);
      of.emplace_back(&running, i);
    }
  }
  if (!waiting.empty()) {
    OLLM_TRY_VOID(Ticket::wait_any(waiting));
    OLLM_TRY_VOID(cancel_.check());
    for (const auto& [running, prompt] : of)
      if (running->tickets[prompt]->ready()) drain(*running, prompt);
  }
  for (auto running = running_.begin(); running != running_.end();) {
    if (running->left > 0) {
      ++running;
      continue;
    }
    OLLM_TRY_VOID(answer(*running, take));
    running = running_.erase(running);
  }
  return {};
}

// Takes what is new of one prompt's answers; where all is told, ends it.
void BatchRun::drain(Running& running, std::size_t prompt) {
  Ticket& ticket = *running.tickets[prompt];
  while (ticket.ready()) {
    const Result<std::optional<Piece>> piece = ticket.next();
    // What it ended with is told by all of it, too.
    if (piece.ok() && piece->has_value()) {
      totals_.tokens += (*piece)->ids.size();
      continue;
    }
    if (piece.ok()) return end(running, prompt);
  }
}

void BatchRun::end(Running& running, std::size_t prompt) {
  Result<Answers> made = running.tickets[prompt]->wait();
  running.tickets[prompt].reset();
  --running.left;
  answers_ -= running.ready.request.n;
  if (!made.ok()) {
    if (!running.error) running.error = openai::request_error(made.error());
    return;
  }
  openai::PromptAnswers out = std::move(running.answers[prompt]);
  add(totals_.report, made->report);
  openai::take_answers(std::move(made).value(), out);
  totals_.tokens += out.prompt_tokens - out.cached_tokens;
  for (const Generation& choice : out.choices)
    running.cancelled = running.cancelled || choice.finish_reason == FinishReason::cancelled;
  running.text.add(model_, running.ready.request, prompt, std::move(out));
}

Result<void> BatchRun::answer(Running& running, TakeLine take) {
  const openai::BatchRow& row = running.row;
  if (running.cancelled) return fail(ErrorKind::cancelled, "stopped by the caller");
  if (running.error) return refuse(row, *running.error, take);
  const openai::CompletionRequest& request = running.ready.request;
  openai::AnswerNames names{.id = row.id.substr(row.id.find('_') + 1),
                            .created = static_cast<std::int64_t>(std::time(nullptr)),
                            .model = request.model.value_or(model_.id()),
                            .system_fingerprint = system_fingerprint_};
  if (!request.seed && !request.options.sampling.greedy()) names.seed = row.seed;
  const std::string body = std::move(running.text).finish(request, names).joined();
  ++totals_.done;
  return take(openai::answer_line(row, kOk, body));
}

}  // namespace ollm::cli
