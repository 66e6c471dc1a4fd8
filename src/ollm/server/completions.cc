// POST /v1/chat/completions and /v1/completions: OpenAI's bodies on the model that is loaded, whole
// or as a stream.
#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "ollm/base/clock.h"
#include "ollm/base/value_document.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/response.h"
#include "ollm/server/answer_order.h"
#include "ollm/server/chunks.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::RequestError;
using openai::Route;

// What is asked for, understood.
struct Asked {
  openai::CompletionRequest request;
  std::vector<std::vector<TokenId>> ids;  // of each prompt
  std::shared_ptr<RoomShare> room;        // shared with the exchange
  std::size_t text_bytes = 0;             // of it, for the text of the answer
};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;  // continues no other
  }));
}

// Of one event: a piece that waited for its client can have as many as were made meanwhile.
constexpr std::size_t kLogProbsOfEvent = 64;

// A piece in as many as it takes; the text goes with the first.
std::vector<Piece> parts_of(Piece piece, bool has_log_probs) {
  std::vector<Piece> parts;
  if (!has_log_probs || piece.ids.size() <= kLogProbsOfEvent) {
    parts.push_back(std::move(piece));
    return parts;
  }
  for (std::size_t at = 0; at < piece.ids.size(); at += kLogProbsOfEvent) {
    const std::size_t end = std::min(at + kLogProbsOfEvent, piece.ids.size());
    Piece& part = parts.emplace_back();
    part.answer = piece.answer;
    if (at == 0) part.text = std::move(piece.text);
    part.ids.assign(piece.ids.begin() + at, piece.ids.begin() + end);
    for (std::size_t i = at; i < std::min(end, piece.log_probs.size()); ++i)
      part.log_probs.push_back(std::move(piece.log_probs[i]));
  }
  return parts;
}

class CompletionOrder final : public AnswerOrder {
 public:
  CompletionOrder(const Call& call, LoadedModel& model, Place place, Asked asked,
                  openai::AnswerNames names)
      : AnswerOrder(call, model, std::move(place)),
        asked_(std::move(asked)),
        names_(std::move(names)),
        chunks_(model.served(), asked_.request, names_),
        answers_(asked_.ids.size()),
        text_(asked_.ids.size()),
        told_(asked_.ids.size() * asked_.request.n),
        left_(asked_.ids.size()) {
    for (std::size_t i = 0; i < asked_.ids.size(); ++i) {
      answers_[i].prompt_tokens = asked_.ids[i].size();
      if (asked_.request.logprobs && asked_.request.echo) answers_[i].prompt_ids = asked_.ids[i];
    }
  }

  std::vector<Request> requests() override {
    return openai::runtime_requests(asked_.request, std::move(asked_.ids), cancelled);
  }

 private:
  bool streams() const { return asked_.request.stream; }

  void send(const Json& chunk) {
    if (!std::exchange(begun_, true)) {
      call().count(200);
      exchange().begin_events();
    }
    exchange().send(event_text(json_dump(chunk)));
  }

  // The beginning of a choice, once.
  void open(std::size_t prompt, std::size_t choice) {
    if (told_[choice]) return;
    told_[choice] = 0;
    const openai::CompletionRequest& request = asked_.request;
    if (request.route == Route::completions && !request.echo) return;
    const std::string echoed =
        request.echo ? openai::echoed_text(model().served(), request.prompts[prompt]) : "";
    told_[choice] = characters(echoed);
    send(chunks_.first(choice, echoed));
  }

  void take_piece(std::size_t prompt, Piece piece) override {
    if (!streams()) return;
    const std::size_t choice = prompt * asked_.request.n + piece.answer;
    if (piece.ids.empty() && piece.text.empty()) {
      if (asked_.request.return_progress && piece.answer == 0 && !told_[choice] &&
          piece.prefill_total > 0) {
        send(chunks_.progress(answers_[prompt].prompt_tokens, piece,
                              monotonic_seconds() - begin_s()));
      }
      return;
    }
    open(prompt, choice);
    const bool has_log_probs = asked_.request.logprobs && !piece.ids.empty();
    if (piece.text.empty() && !has_log_probs) return;
    for (const Piece& part : parts_of(std::move(piece), has_log_probs)) {
      send(chunks_.text(choice, part, *told_[choice]));
      *told_[choice] += characters(part.text);
    }
  }

  void take_answers(std::size_t prompt, Answers made) override {
    add(made.report);
    openai::PromptAnswers answers = std::move(answers_[prompt]);
    openai::take_answers(std::move(made), answers);
    --left_;
    if (streams()) return end_stream(prompt, answers);
    text_.add(model().served(), asked_.request, prompt, std::move(answers));
    if (!has_room()) return end_with(no_room());
    if (left_ > 0) return;
    openai::TextParts body =
        std::move(text_).finish(asked_.request, names_, {{"timings", timings(report_)}});
    call().respond(HttpResponse{.body = {}, .more_body = std::move(body).take()});
  }

  // Whether the text has no more bytes than it was given, or is given now: tokens can be longer
  // than they mostly are.
  bool has_room() {
    const std::size_t bytes = text_.size();
    if (bytes <= asked_.text_bytes) return true;
    if (!asked_.room->grow(bytes - asked_.text_bytes)) return false;
    asked_.text_bytes = bytes;
    return true;
  }

  RequestError no_room() const {
    return {.status = 503,
            .message =
                "the answer is longer than there is room for: try again later, or ask for "
                "less",
            .param = std::nullopt,
            .code = "no_room"};
  }

  void end_stream(std::size_t prompt, const openai::PromptAnswers& answers) {
    const std::size_t n = asked_.request.n;
    usage_.add(answers);
    for (std::size_t i = 0; i < answers.choices.size(); ++i) {
      const std::size_t choice = prompt * n + i;
      open(prompt, choice);
      Json end = chunks_.last(choice, answers.choices[i].finish_reason);
      if (left_ == 0 && i + 1 == n) end["timings"] = timings(report_);
      send(end);
    }
    if (left_ > 0) return;
    if (asked_.request.include_usage) send(chunks_.usage(usage_));
    exchange().send(event_text("[DONE]"));
    exchange().end_events();
  }

  void take_error(const RequestError& error) override {
    if (!begun_) return call().refuse(error);
    exchange().send(broken_off(error) + event_text("[DONE]"));
    exchange().end_events();
  }

  // Of all prompts together: tokens add up, speeds are those of the last.
  void add(const Report& one) {
    const Report before = std::exchange(report_, one);
    report_.prompt_tokens += before.prompt_tokens;
    report_.cached_tokens += before.cached_tokens;
    report_.new_tokens += before.new_tokens;
  }

  Asked asked_;
  const openai::AnswerNames names_;
  const Chunks chunks_;
  std::vector<openai::PromptAnswers> answers_;    // of prompts that are not over
  openai::ResponseText text_;                     // of those that are; not of a stream
  openai::Usage usage_;                           // of a stream
  std::vector<std::optional<std::size_t>> told_;  // characters of each choice; nothing: not begun
  std::size_t left_;                              // prompts that are not over
  Report report_;
  bool begun_ = false;  // the stream
};

// What must not be asked of a stream.
std::optional<RequestError> check_stream(const openai::CompletionRequest& request) {
  if (request.stream && request.echo && request.logprobs)
    return openai::refuse("echo", "with logprobs in a stream is not built",
                          openai::kUnsupportedValue);
  return std::nullopt;
}

void answer(const Call& call, Route route, LoadedModel& model, Place place) {
  Asked asked;
  {
    const std::string text = call.exchange->take_body();
    Json body;
    if (auto wrong = openai::parse_body(text, body)) return call.refuse(*wrong);
    if (auto wrong = openai::read_request(body, route, model.defaults(), asked.request))
      return call.refuse(*wrong);
  }
  if (auto wrong = check_stream(asked.request)) return call.refuse(*wrong);
  if (auto wrong = openai::encode_request(model.served(), asked.request, asked.ids))
    return call.refuse(*wrong);
  openai::AnswerNames names{.id = random_name(),
                            .created = static_cast<std::int64_t>(std::time(nullptr)),
                            .model = asked.request.model.value_or(model.served().id()),
                            .system_fingerprint = model.system_fingerprint()};
  sampling::Options& sampling = asked.request.options.sampling;
  if (!asked.request.seed && !sampling.greedy()) {
    constexpr int kExact = 53;  // bits that every reader of JSON keeps
    sampling.seed = random_number() >> (64 - kExact);
    names.seed = sampling.seed;
  }
  if (!asked.request.echo) asked.request.prompts = {};  // ids from here on
  const AnswerSize size = answer_size(asked.request, asked.ids, model.lines());
  asked.text_bytes = size.text_bytes;
  asked.room = AnswerOrder::claim(call, size);
  if (!asked.room) return;
  AnswerOrder::submit(std::make_shared<CompletionOrder>(call, model, std::move(place),
                                                        std::move(asked), std::move(names)));
}

void begin(const Call& call, Route route) {
  std::optional<Place> place = call.service->take_place();
  if (!place) return call.respond(queue_is_full());
  call.later([call, route, place = std::move(*place)] {
    answer(call, route, *call.service->model(), place);
  });
}

}  // namespace

void chat_completion(const Call& call) { begin(call, Route::chat); }
void completion(const Call& call) { begin(call, Route::completions); }

}  // namespace ollm::server
