#include "ollm/server/desk.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "ollm/base/thread.h"

namespace ollm::server {
namespace {

// An order whose requests run.
struct Running {
  std::shared_ptr<Order> order;                // shared with whoever may cancel it
  std::vector<std::optional<Ticket>> tickets;  // of each prompt; nothing: over
  std::size_t left = 0;

  bool takes() const { return order->takes_more() || order->cancelled.cancelled(); }
};

}  // namespace

struct AnswerDesk::State {
  explicit State(const Runtime& loaded) : runtime(loaded) {}

  void wake() {
    wakes.cancel();
    changed.notify_all();
  }

  void run();
  bool take_arrivals();
  void begin(std::shared_ptr<Order> order);
  void drain(Running& of, std::size_t prompt);
  void fail_all(const Error& error);

  const Runtime runtime;
  std::mutex mutex;
  std::condition_variable changed;
  // guarded by mutex
  std::deque<std::shared_ptr<Order>> arrivals;
  std::vector<std::weak_ptr<Order>> all;  // that were submitted, and are not over
  bool looks_again = false;
  bool ends = false;
  bool cancels = false;

  CancellationToken wakes;  // the desk's thread, where it waits for tickets

  std::atomic<std::size_t> size{0};
  std::deque<Running> running;  // of the desk's thread; a deque, as tickets are pointed at
  std::optional<Thread> thread;
};

Result<std::unique_ptr<AnswerDesk>> AnswerDesk::open(const Runtime& runtime) {
  auto state = std::make_unique<State>(runtime);
  OLLM_TRY(Thread thread, Thread::start([desk = state.get()] { desk->run(); }));
  state->thread.emplace(std::move(thread));
  return std::unique_ptr<AnswerDesk>(new AnswerDesk(std::move(state)));
}

AnswerDesk::AnswerDesk(std::unique_ptr<State> state) : state_(std::move(state)) {}

AnswerDesk::~AnswerDesk() {
  cancel_all();
  {
    const std::lock_guard lock(state_->mutex);
    state_->ends = true;
  }
  state_->wake();
  state_->thread.reset();
}

void AnswerDesk::submit(std::shared_ptr<Order> order) {
  ++state_->size;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->cancels) order->cancelled.cancel();
    std::erase_if(state_->all, [](const auto& one) { return one.expired(); });
    state_->all.push_back(order);
    state_->arrivals.push_back(std::move(order));
  }
  state_->wake();
}

void AnswerDesk::look_again() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->looks_again = true;
  }
  state_->wake();
}

void AnswerDesk::cancel_all() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->cancels = true;
    state_->looks_again = true;
    for (const auto& one : state_->all)
      if (const std::shared_ptr<Order> order = one.lock()) order->cancelled.cancel();
  }
  state_->wake();
}

std::size_t AnswerDesk::size() const { return state_->size.load(); }

// False at the end, when nothing is left.
bool AnswerDesk::State::take_arrivals() {
  std::deque<std::shared_ptr<Order>> fresh;
  {
    std::unique_lock lock(mutex);
    const auto can_go_on = [&] {
      if (!arrivals.empty() || looks_again || ends) return true;
      for (const Running& one : running)
        if (one.takes()) return true;
      return false;
    };
    changed.wait(lock, can_go_on);
    looks_again = false;
    fresh.swap(arrivals);
    if (ends && fresh.empty() && running.empty()) return false;
    wakes.reset();  // what it was for has been seen
  }
  for (auto& order : fresh) begin(std::move(order));
  return true;
}

void AnswerDesk::State::begin(std::shared_ptr<Order> order) {
  Running fresh;
  fresh.order = std::move(order);
  for (const Request& request : fresh.order->requests()) {
    Result<Ticket> ticket = runtime.submit(request);
    if (!ticket.ok()) {
      fresh.tickets.clear();  // and with it those that were submitted
      fresh.order->take_end(0, std::move(ticket).error());
      --size;
      return;
    }
    fresh.tickets.emplace_back(std::move(ticket).value());
  }
  fresh.left = fresh.tickets.size();
  running.push_back(std::move(fresh));
}

// Takes what is new of one prompt's answers; where all is told, ends it.
void AnswerDesk::State::drain(Running& of, std::size_t prompt) {
  Ticket& ticket = *of.tickets[prompt];
  while (ticket.ready() && of.takes()) {
    Result<std::optional<Piece>> piece = ticket.next();
    if (piece.ok() && piece->has_value()) {
      of.order->take(prompt, std::move(**piece));
      continue;
    }
    if (!piece.ok()) continue;  // what it ended with is told by all of it, too
    Result<Answers> answers = ticket.wait();
    of.tickets[prompt].reset();
    --of.left;
    of.order->take_end(prompt, std::move(answers));
    return;
  }
}

void AnswerDesk::State::fail_all(const Error& error) {
  for (Running& one : running) {
    for (std::size_t i = 0; i < one.tickets.size(); ++i)
      if (one.tickets[i]) one.order->take_end(i, error);
    --size;
  }
  running.clear();
}

void AnswerDesk::State::run() {
  std::vector<Ticket*> waiting;
  while (take_arrivals()) {
    waiting.clear();
    for (Running& one : running)
      for (std::optional<Ticket>& ticket : one.tickets)
        if (ticket && one.takes()) waiting.push_back(&*ticket);
    if (!waiting.empty()) {
      const Result<std::size_t> ready = Ticket::wait_any(waiting, &wakes);
      if (!ready.ok() && ready.error().kind != ErrorKind::cancelled) fail_all(ready.error());
    }
    for (Running& one : running)
      for (std::size_t i = 0; i < one.tickets.size(); ++i)
        if (one.tickets[i] && one.takes()) drain(one, i);
    const std::size_t before = running.size();
    std::erase_if(running, [](const Running& one) { return one.left == 0; });
    size -= before - running.size();
  }
}

}  // namespace ollm::server
