// An order whose answer goes to a client: it rests while that client is slow, and ends when it goes
// away. Leaves to others: what the client is told (completions.cc, prompt.cc).
#pragma once

#include <memory>
#include <string_view>

#include "ollm/server/answer_size.h"
#include "ollm/server/desk.h"
#include "ollm/server/routes.h"
#include "ollm/server/service.h"

namespace ollm::server {

/// One event of a stream: "data: TEXT", behind "event: NAME" where it has a name.
std::string event_text(std::string_view data, std::string_view name = {});

class AnswerOrder : public Order {
 public:
  AnswerOrder(Call call, LoadedModel& model, Place place);

  bool takes_more() const final;
  void take(std::size_t prompt, Piece piece) final;
  void take_end(std::size_t prompt, Result<Answers> answers) final;

  /// Puts it on the model's desk; from now on its client may end it.
  static void submit(std::shared_ptr<AnswerOrder> order);

  /// The room of an answer until it has left; where there is none, answers so, and gives nothing.
  static std::shared_ptr<RoomShare> claim(const Call& call, const AnswerSize& size);

 protected:
  /// As take and take_end; not called any more once the client is gone or one has failed.
  ///@{
  virtual void take_piece(std::size_t prompt, Piece piece) = 0;
  virtual void take_answers(std::size_t prompt, Answers answers) = 0;
  ///@}
  /// It cannot be answered. Once.
  virtual void take_error(const openai::RequestError& error) = 0;
  /// Its client is gone. Once.
  virtual void leave() {}

  /// Ends it with an error, once, and with it its other prompts.
  void end_with(const openai::RequestError& error);

  /// Why a stream that was begun breaks off: its events.
  static std::string broken_off(const openai::RequestError& error);

  const Call& call() const { return call_; }
  LoadedModel& model() { return model_; }
  Exchange& exchange() const { return *call_.exchange; }
  double begin_s() const { return begin_s_; }

 private:
  const Call call_;
  LoadedModel& model_;
  const Place place_;
  const double begin_s_;
  bool has_token_ = false;  // a first new one, of any of its prompts
  bool over_ = false;
};

}  // namespace ollm::server
