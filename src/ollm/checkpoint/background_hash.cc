#include "ollm/checkpoint/background_hash.h"

#include <utility>

namespace ollm::checkpoint {

Result<std::unique_ptr<BackgroundHash>> BackgroundHash::start(ModelFolder folder,
                                                              std::filesystem::path memory,
                                                              memory::Budget& budget,
                                                              io::SystemCalls& calls) {
  OLLM_TRY(ContentHash begun,
           ContentHash::begin(std::move(folder), std::move(memory), budget, calls));
  std::unique_ptr<BackgroundHash> hash(new BackgroundHash(std::move(begun)));
  if (hash->hash_.total_bytes() == 0) {
    while (!hash->outcome_) hash->step();
    return hash;
  }
  Result<Thread> thread = Thread::start([background = hash.get()] { background->run(); });
  if (thread.ok()) hash->thread_ = std::move(thread).value();
  return hash;
}

BackgroundHash::~BackgroundHash() {
  {
    const std::lock_guard lock(waiting_mutex_);
    stopped_ = true;
  }
  waiters_left_.notify_all();
}

void BackgroundHash::run() {
  yield_to_all_others();
  for (;;) {
    {
      std::unique_lock lock(waiting_mutex_);
      waiters_left_.wait(lock, [&] { return waiters_ == 0 || stopped_; });
      if (stopped_) return;
    }
    const std::lock_guard lock(mutex_);
    if (!outcome_) step();
    if (outcome_) return;
  }
}

void BackgroundHash::step() {
  const Result<bool> ended = hash_.step();
  if (!ended.ok()) {
    outcome_ = ended.error();
  } else if (*ended) {
    outcome_ = *hash_.hash();
  }
}

std::optional<Result<Digest>> BackgroundHash::poll() const {
  // Who asks does not wait for a piece.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return std::nullopt;
  return outcome_;
}

Result<Digest> BackgroundHash::wait(
    FunctionRef<void(std::uint64_t done, std::uint64_t total)> on_progress,
    const CancellationToken& cancel) {
  struct Waiting {
    explicit Waiting(BackgroundHash& hash) : of(hash) {
      const std::lock_guard lock(of.waiting_mutex_);
      ++of.waiters_;
    }
    ~Waiting() {
      {
        const std::lock_guard lock(of.waiting_mutex_);
        --of.waiters_;
      }
      of.waiters_left_.notify_all();
    }
    BackgroundHash& of;
  } const waiting(*this);

  for (;;) {
    OLLM_TRY_VOID(cancel.check());
    std::uint64_t done = 0, total = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!outcome_) step();
      if (outcome_) return *outcome_;
      done = hash_.done_bytes();
      total = hash_.total_bytes();
    }
    if (on_progress) on_progress(done, total);
  }
}

}  // namespace ollm::checkpoint
