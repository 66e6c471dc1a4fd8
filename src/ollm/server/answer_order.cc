#include "ollm/server/answer_order.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/base/value_document.h"
#include "ollm/server/limits.h"

namespace ollm::server {

std::string event_text(std::string_view data, std::string_view name) {
  if (name.empty()) return fmt::format("data: {}\n\n", data);
  return fmt::format("event: {}\ndata: {}\n\n", name, data);
}

AnswerOrder::AnswerOrder(Call call, LoadedModel& model, Place place)
    : call_(std::move(call)),
      model_(model),
      place_(std::move(place)),
      begin_s_(monotonic_seconds()) {}

void AnswerOrder::submit(std::shared_ptr<AnswerOrder> order) {
  AnswerDesk& desk = order->model_.desk();
  order->exchange().on_change([of = std::weak_ptr(order), &desk] {
    const std::shared_ptr<AnswerOrder> alive = of.lock();
    if (!alive) return;
    if (alive->exchange().gone()) alive->cancelled.cancel();
    desk.look_again();
  });
  desk.submit(std::move(order));
}

std::shared_ptr<RoomShare> AnswerOrder::claim(const Call& call, const AnswerSize& size) {
  std::shared_ptr<RoomShare> share = call.service->room().claim(size.total());
  if (share) {
    call.exchange->hold(share);
  } else {
    call.respond(no_room(*call.service, size.total(), size.weighs_most));
  }
  return share;
}

bool AnswerOrder::takes_more() const {
  return exchange().unsent_bytes() <= ServerLimits::kUnsentBytes;
}

void AnswerOrder::take(std::size_t prompt, Piece piece) {
  if (!piece.ids.empty() && !std::exchange(has_token_, true))
    call_.service->metrics().add_first_token(monotonic_seconds() - begin_s_);
  if (!over_ && !exchange().gone() && !cancelled.cancelled()) take_piece(prompt, std::move(piece));
}

void AnswerOrder::end_with(const openai::RequestError& error) {
  if (std::exchange(over_, true)) return;
  cancelled.cancel();  // its other prompts are for nobody
  take_error(error);
}

void AnswerOrder::take_end(std::size_t prompt, Result<Answers> answers) {
  if (over_) return;
  if (exchange().gone()) {
    over_ = true;
    call_.service->metrics().count_cancelled();
    leave();
    return;
  }
  if (cancelled.cancelled()) {
    return end_with({.status = 503,
                     .message = "the server is ending",
                     .param = std::nullopt,
                     .code = "draining"});
  }
  if (!answers.ok()) return end_with(openai::request_error(answers.error()));
  call_.service->metrics().add(answers->report);
  take_answers(prompt, std::move(answers).value());
}

std::string AnswerOrder::broken_off(const openai::RequestError& error) {
  return event_text(json_dump(openai::error_body(error)));
}

}  // namespace ollm::server
