// Requests that run on a model: one thread waits for all of them together, so that it drives their
// sweeps, and gives what is new to whoever asked. Leaves to others: what a request is and what
// becomes of its answer (an Order).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "ollm/ollm.h"

namespace ollm::server {

/// One request with its prompts. The desk's calls come on its thread, one after the other.
class Order {
 public:
  Order() = default;
  Order(const Order&) = delete;
  Order& operator=(const Order&) = delete;
  virtual ~Order() = default;

  /// What is asked of the runtime: a request for each prompt, whose `cancel` is `cancelled`.
  virtual std::vector<Request> requests() = 0;
  /// Whether what is new can be taken: else it is put aside until `AnswerDesk::look_again`. Of one
  /// that is cancelled everything is taken.
  virtual bool takes_more() const = 0;
  /// What is new of one of its prompts.
  virtual void take(std::size_t prompt, Piece piece) = 0;
  /// All of one prompt. After the last of them it is let go.
  virtual void take_end(std::size_t prompt, Result<Answers> answers) = 0;

  /// Any thread; then AnswerDesk::look_again.
  CancellationToken cancelled;
};

class AnswerDesk {
 public:
  /// Errors: io where the system gives no further thread.
  static Result<std::unique_ptr<AnswerDesk>> open(const Runtime& runtime);
  /// Ends all that runs.
  ~AnswerDesk();
  AnswerDesk(const AnswerDesk&) = delete;
  AnswerDesk& operator=(const AnswerDesk&) = delete;

  /// Any thread. An order of which a request is refused ends with that error at once.
  void submit(std::shared_ptr<Order> order);
  /// That an order takes more by now, or was cancelled. Any thread.
  void look_again();
  /// Cancels all that is there, and all that comes. Any thread.
  void cancel_all();
  /// Orders that are not over. Any thread.
  std::size_t size() const;

 private:
  struct State;
  explicit AnswerDesk(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ollm::server
