// Lines beside each other: each gives what it gives alone, whenever others come and go.
#include "ollm/engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "ollm/engine/tiny_engine.h"
#include "ollm/kv/strategies.h"

namespace ollm::engine {
namespace {

// Goes on greedily, and remembers the logits.
class Greedy : public Job {
 public:
  Greedy(std::vector<TokenId> ids, std::size_t new_tokens)
      : ids_(std::move(ids)), prompt_(ids_.size()), wanted_(ids_.size() + new_tokens) {}

  std::span<const TokenId> tokens() const override { return ids_; }
  std::size_t first_logit() const override { return ids_.size() - 1; }
  bool cancelled() const override { return cancelled_; }
  bool rests() const override { return rests_; }
  void began(std::size_t cached) override { cached_.push_back(cached); }
  Result<std::optional<TokenId>> take_logits(std::size_t position, std::span<float> logits,
                                             sampling::Workspaces&) override {
    EXPECT_EQ(position + 1, ids_.size());
    logits_.insert(logits_.end(), logits.begin(), logits.end());
    if (ids_.size() >= wanted_) return std::optional<TokenId>();
    ids_.push_back(
        static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    if (ids_.size() == cancel_at_) cancelled_ = true;
    return std::optional(ids_.back());
  }
  bool swept(std::size_t computed, double) override {
    ++sweeps_;
    return computed < wanted_;
  }
  void ended(Result<void> how, std::size_t) override {
    EXPECT_FALSE(over_);
    if (!how.ok()) error_ = how.error().kind;
    over_ = true;
  }

  std::vector<TokenId> ids_;
  const std::size_t prompt_;
  const std::size_t wanted_;
  std::vector<float> logits_;
  std::vector<std::size_t> cached_;  // of each time it began
  std::size_t cancel_at_ = 0;
  std::size_t sweeps_ = 0;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> rests_{false};
  std::atomic<bool> over_{false};
  std::optional<ErrorKind> error_;
};

// Guesses what it will choose, and every so often something else.
class Guessing final : public Greedy {
 public:
  Guessing(std::vector<TokenId> ids, std::size_t new_tokens, std::vector<TokenId> answer,
           std::size_t wrong_every)
      : Greedy(std::move(ids), new_tokens), answer_(std::move(answer)), wrong_every_(wrong_every) {}

  bool may_draft() const override { return true; }
  std::span<const TokenId> drafts(std::size_t most) override {
    guesses_.clear();
    for (std::size_t i = 0; i < most; ++i) {
      const std::size_t position = ids_.size() + i;
      if (position >= answer_.size()) break;
      const bool wrong = ++made_ % wrong_every_ == 0;
      guesses_.push_back(static_cast<TokenId>((answer_[position] + (wrong ? 1 : 0)) % 60));
    }
    return guesses_;
  }
  void judge(std::size_t drafts, std::size_t accepted) override {
    EXPECT_EQ(drafts, guesses_.size());
    accepted_ += accepted;
  }

  std::size_t accepted_ = 0;

 private:
  const std::vector<TokenId> answer_;
  const std::size_t wrong_every_;
  std::vector<TokenId> guesses_;
  std::size_t made_ = 0;
};

constexpr std::size_t kLines = 5;

TinyOptions options(std::size_t rows, std::size_t tokens) {
  TinyOptions out;
  out.max_rows = rows;
  out.max_logit_rows = kLines;
  out.kv_tokens = tokens;
  out.kv_lines = kLines;
  out.threads = 2;
  return out;
}

class Schedules : public ::testing::Test {
 protected:
  Terms terms(const Greedy& job, int priority = 0) const {
    Terms out;
    out.priority = priority;
    out.room = job.wanted_;
    return out;
  }
  std::shared_ptr<Greedy> submit(Scheduler& scheduler, std::vector<TokenId> ids,
                                 std::size_t new_tokens, int priority = 0) {
    auto job = std::make_shared<Greedy>(std::move(ids), new_tokens);
    scheduler.submit(job, terms(*job, priority));
    return job;
  }
  // What it gives when nothing else runs.
  std::shared_ptr<Greedy> alone(const std::vector<TokenId>& ids, std::size_t new_tokens) {
    TinyEngine tiny(model_, options(16, 1024));
    Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = 1});
    auto job = submit(scheduler, ids, new_tokens);
    scheduler.run_until([&] { return job->over_.load(); });
    EXPECT_TRUE(job->over_);
    return job;
  }
  static bool same(const Greedy& a, const Greedy& b) {
    return a.ids_ == b.ids_ && same_bits(a.logits_, b.logits_);
  }

  const TinyModel model_{{TinyLayer{}, TinyLayer{.window = 40}}};
  ThreadPool pool_{2};
};

TEST_F(Schedules, RunLinesAsTheyRunAlone) {
  TinyEngine tiny(model_, options(24, 1500));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  std::vector<std::shared_ptr<Greedy>> jobs;
  for (std::uint32_t i = 0; i < 12; ++i)
    jobs.push_back(submit(scheduler, random_ids(1 + 17 * i, i), 5 + i));
  scheduler.run_until([&] {
    return std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->over_.load(); });
  });
  for (std::uint32_t i = 0; i < 12; ++i) {
    ASSERT_TRUE(jobs[i]->over_);
    EXPECT_FALSE(jobs[i]->error_);
    EXPECT_TRUE(same(*jobs[i], *alone(random_ids(1 + 17 * i, i), 5 + i))) << i;
  }
  EXPECT_EQ(scheduler.running() + scheduler.waiting(), 0U);
}

TEST_F(Schedules, ComputeEqualBeginningsOnce) {
  TinyEngine tiny(model_, options(32, 2048));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  std::vector<TokenId> ids = random_ids(200, 1);
  std::vector<std::shared_ptr<Greedy>> jobs;
  for (TokenId last = 0; last < 5; ++last) {
    ids.back() = last;
    jobs.push_back(submit(scheduler, ids, 6));
  }
  scheduler.run_until([&] {
    return std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->over_.load(); });
  });
  EXPECT_EQ(jobs[0]->cached_, std::vector<std::size_t>{0});
  for (TokenId last = 0; last < 5; ++last) {
    ids.back() = last;
    EXPECT_TRUE(same(*jobs[static_cast<std::size_t>(last)], *alone(ids, 6))) << last;
    if (last > 0) {
      EXPECT_EQ(jobs[static_cast<std::size_t>(last)]->cached_, std::vector<std::size_t>{199});
    }
  }
}

// Guesses that hold, some that do not, up to the end of the room and beside other lines.
TEST_F(Schedules, GuessAndChangeNothing) {
  const std::vector<TokenId> prompt = random_ids(30, 8);
  const auto expected = alone(prompt, 40);
  for (const std::size_t wrong_every : {1U, 2U, 5U, 100U}) {
    TinyEngine tiny(model_, options(16, 1024));
    Scheduler scheduler(tiny.engine(), tiny.store(), pool_,
                        {.lines = kLines, .speculation = {.free_rows = 5, .most_drafts = 4}});
    const auto job = std::make_shared<Guessing>(prompt, 40, expected->ids_, wrong_every);
    scheduler.submit(job, terms(*job));
    const auto beside = submit(scheduler, random_ids(20, 9), 3);
    scheduler.run_until([&] { return job->over_ && beside->over_; });
    EXPECT_EQ(job->ids_, expected->ids_);
    EXPECT_TRUE(same_bits(job->logits_, expected->logits_));
    EXPECT_TRUE(same(*beside, *alone(random_ids(20, 9), 3)));
    EXPECT_EQ(job->accepted_ + job->sweeps_ - 2, 40U) << "each sweep gives one token and the "
                                                         "guesses that held";
    if (wrong_every == 100) {
      EXPECT_GT(job->accepted_, 25U);
    }
    if (wrong_every == 1) {
      EXPECT_EQ(job->accepted_, 0U);
    }
  }
}

// Blocks become int8 codes once all their tokens stand, guesses that were dropped not among them.
// Guesses lie across the borders of blocks here, at each place before them.
TEST_F(Schedules, GuessAndChangeNothingOfQuantizedBlocks) {
  const std::vector<TokenId> prompt = random_ids(100, 8);
  constexpr std::size_t kNew = 180;
  const auto run = [&](Greedy& job, const std::shared_ptr<Greedy>& shared, std::size_t guesses) {
    TinyOptions with = options(16, 1024);
    with.kv_strategy = kv::kQuantizedColdTier;
    with.kv_block_tokens = 128;
    TinyEngine tiny(model_, with);
    Scheduler scheduler(tiny.engine(), tiny.store(), pool_,
                        {.lines = kLines, .speculation = {guesses + 1, guesses}});
    scheduler.submit(shared, terms(job));
    scheduler.run_until([&] { return job.over_.load(); });
    EXPECT_FALSE(job.error_);
  };
  const auto expected = std::make_shared<Greedy>(prompt, kNew);
  run(*expected, expected, 0);
  EXPECT_FALSE(same(*expected, *alone(prompt, kNew))) << "no block was quantized";
  for (const std::size_t wrong_every : {2U, 3U, 5U, 7U, 1000U}) {
    for (const std::size_t guesses : {1U, 4U, 9U}) {
      SCOPED_TRACE(testing::Message() << wrong_every << ' ' << guesses);
      const auto job = std::make_shared<Guessing>(prompt, kNew, expected->ids_, wrong_every);
      run(*job, job, guesses);
      EXPECT_TRUE(same(*job, *expected));
      EXPECT_GT(job->accepted_, 0U);
    }
  }
}

// What begins alike in the middle of a block shares the blocks before.
TEST_F(Schedules, ComputeEqualQuantizedBlocksOnce) {
  TinyOptions with = options(32, 2048);
  with.kv_strategy = kv::kQuantizedColdTier;
  with.kv_block_tokens = 128;
  std::vector<TokenId> ids = random_ids(500, 1);
  const auto expect = [&](const std::vector<TokenId>& of) {
    TinyEngine tiny(model_, with);
    Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = 1});
    auto job = submit(scheduler, of, 6);
    scheduler.run_until([&] { return job->over_.load(); });
    return job;
  };
  TinyEngine tiny(model_, with);
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  const auto first = submit(scheduler, ids, 6);
  scheduler.run_until([&] { return first->ids_.size() == 502; });
  std::vector<TokenId> other(ids.begin(), ids.begin() + 200);
  other.back() = (other.back() + 1) % 60;
  const auto second = submit(scheduler, other, 6);
  scheduler.run_until([&] { return first->over_ && second->over_; });
  EXPECT_EQ(second->cached_, std::vector<std::size_t>{128});
  EXPECT_TRUE(same(*first, *expect(ids)));
  EXPECT_TRUE(same(*second, *expect(other)));
}

// Who waits for what another computes goes on where that one goes away.
TEST_F(Schedules, TakeThePlaceOfWhomTheyWaitedFor) {
  TinyEngine tiny(model_, options(32, 2048));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  const std::vector<TokenId> ids = random_ids(200, 1);
  const auto first = submit(scheduler, ids, 6);
  const auto second = submit(scheduler, ids, 6);
  scheduler.run_until([&] { return first->sweeps_ == 2; });
  EXPECT_TRUE(second->cached_.empty());
  first->cancelled_ = true;
  scheduler.run_until([&] { return second->over_.load(); });
  EXPECT_EQ(first->error_, ErrorKind::cancelled);
  EXPECT_TRUE(same(*second, *alone(ids, 6)));
}

TEST_F(Schedules, RunALineInEverySweep) {
  TinyEngine tiny(model_, options(16, 4096));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  const auto decoding = submit(scheduler, random_ids(1, 1), 30, -1);
  scheduler.run_until([&] { return decoding->sweeps_ == 1; });
  const auto prompt = submit(scheduler, random_ids(400, 2), 1, 5);
  scheduler.run_until([&] { return prompt->over_.load(); });
  // Of 16 rows 15 were the prompt's.
  EXPECT_EQ(prompt->sweeps_, 27U + 1);
  EXPECT_EQ(decoding->sweeps_, 1U + 27 + 1);
}

TEST_F(Schedules, RestWhereNobodyTakesWhatTheyMake) {
  TinyEngine tiny(model_, options(16, 1024));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  const auto resting = submit(scheduler, random_ids(3, 1), 10);
  resting->rests_ = true;
  const auto other = submit(scheduler, random_ids(3, 2), 10);
  scheduler.run_until([&] { return other->over_.load(); });
  EXPECT_EQ(resting->sweeps_, 0U);
  // With nothing else to run it goes on: else who waits for it would wait for ever.
  scheduler.run_until([&] { return resting->over_.load(); });
  EXPECT_TRUE(same(*resting, *alone(random_ids(3, 1), 10)));
}

TEST_F(Schedules, RefuseWhatNeverFits) {
  TinyEngine tiny(model_, options(16, 256));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  const auto large = submit(scheduler, random_ids(400, 1), 1);
  const auto small = submit(scheduler, random_ids(100, 2), 3);
  scheduler.run_until([&] { return small->over_.load() && large->over_.load(); });
  EXPECT_EQ(large->error_, ErrorKind::out_of_budget);
  EXPECT_FALSE(small->error_);
}

TEST_F(Schedules, WaitForRoom) {
  TinyEngine tiny(model_, options(16, 256));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  std::vector<std::shared_ptr<Greedy>> jobs;
  for (std::uint32_t i = 0; i < 6; ++i) jobs.push_back(submit(scheduler, random_ids(120, i), 4));
  scheduler.run_until([&] {
    return std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->over_.load(); });
  });
  for (std::uint32_t i = 0; i < 6; ++i) {
    EXPECT_FALSE(jobs[i]->error_);
    EXPECT_TRUE(same(*jobs[i], *alone(random_ids(120, i), 4)));
  }
}

// A line that is put aside for a higher priority goes on later where it was.
TEST_F(Schedules, PutAsideAndGoOnWithoutComputingAgain) {
  const io::TemporaryFolder folder;
  TinyOptions stored = options(16, 256);
  stored.kv_pool = kv::PoolOptions{};
  stored.kv_pool->folder = folder.path() / "kv";
  TinyEngine tiny(model_, stored);
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_,
                      {.lines = 1, .finds_again = [] { return true; }});
  const auto low = submit(scheduler, random_ids(100, 1), 20);
  scheduler.run_until([&] { return low->ids_.size() == 105; });
  const auto high = submit(scheduler, random_ids(50, 2), 5, 1);
  scheduler.run_until([&] { return high->over_.load(); });
  EXPECT_FALSE(low->over_);
  EXPECT_EQ(low->ids_.size(), 105U);
  scheduler.run_until([&] { return low->over_.load(); });
  EXPECT_TRUE(same(*low, *alone(random_ids(100, 1), 20)));
  EXPECT_TRUE(same(*high, *alone(random_ids(50, 2), 5)));
  EXPECT_EQ(low->cached_, (std::vector<std::size_t>{0, 104}));
}

TinyOptions stored_options(std::size_t rows, const io::TemporaryFolder& folder) {
  TinyOptions stored = options(rows, 2048);
  stored.kv_pool = kv::PoolOptions{};
  stored.kv_pool->folder = folder.path() / "kv";
  return stored;
}

// What is stored has the job's tokens, wherever these stand by the time they are committed.
TEST_F(Schedules, StoreTokensThatMoveAsTheyGrow) {
  class Moving final : public Greedy {
   public:
    using Greedy::Greedy;
    Result<std::optional<TokenId>> take_logits(std::size_t position, std::span<float> logits,
                                               sampling::Workspaces& workspaces) override {
      left_ = ids_;
      left_.swap(ids_);
      std::fill(left_.begin(), left_.end(), 7);
      return Greedy::take_logits(position, logits, workspaces);
    }

   private:
    std::vector<TokenId> left_;
  };
  const io::TemporaryFolder folder;
  TinyEngine tiny(model_, stored_options(16, folder));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
  const auto first = std::make_shared<Moving>(random_ids(100, 1), 4);
  scheduler.submit(first, terms(*first));
  scheduler.run_until([&] { return first->over_.load(); });
  tiny.store().wait_for_commits();
  const auto second = submit(scheduler, first->ids_, 1);
  scheduler.run_until([&] { return second->over_.load(); });
  EXPECT_EQ(second->cached_, std::vector<std::size_t>{103});
}

// A prompt goes on as an answer does that is being made, and maybe not taken: it is not waited for.
TEST_F(Schedules, WaitForNoAnswerOfAnother) {
  const std::vector<TokenId> ids = random_ids(100, 1);
  const std::vector<TokenId> answered = alone(ids, 60)->ids_;
  for (const bool rests : {false, true}) {
    TinyEngine tiny(model_, options(32, 2048));
    Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
    const auto first = submit(scheduler, ids, 80);
    scheduler.run_until([&] { return first->ids_.size() == 110; });
    first->rests_ = rests;
    const auto beside = submit(scheduler, random_ids(5, 2), 200);
    const auto second = submit(scheduler, answered, 3);
    scheduler.run_until([&] { return second->over_.load(); });
    EXPECT_EQ(second->cached_, std::vector<std::size_t>{109});
    EXPECT_LT(first->ids_.size(), 120U);
    EXPECT_FALSE(beside->over_);
    EXPECT_TRUE(same(*second, *alone(answered, 3)));
  }
}

// Nobody loses its line to a job that waits for another one anyway.
TEST_F(Schedules, PutNothingAsideForWhatWaits) {
  const io::TemporaryFolder folder;
  TinyEngine tiny(model_, stored_options(16, folder));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_,
                      {.lines = 2, .finds_again = [] { return true; }});
  const auto low = submit(scheduler, random_ids(10, 1), 100);
  scheduler.run_until([&] { return low->sweeps_ == 2; });
  const auto prompt = submit(scheduler, random_ids(400, 2), 2, 1);
  const auto same_prompt = submit(scheduler, random_ids(400, 2), 2, 1);
  scheduler.run_until([&] { return prompt->sweeps_ == 10; });
  EXPECT_EQ(low->sweeps_, 12U);
  EXPECT_EQ(low->cached_.size(), 1U);
  scheduler.run_until([&] { return same_prompt->over_ && low->over_; });
  EXPECT_EQ(same_prompt->cached_, std::vector<std::size_t>{399});
  EXPECT_TRUE(same(*low, *alone(random_ids(10, 1), 100)));
}

// Of two that wait the one whose beginning is stored goes first.
TEST_F(Schedules, TakeFirstWhatIsStored) {
  const io::TemporaryFolder folder;
  TinyEngine tiny(model_, stored_options(16, folder));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_,
                      {.lines = 1, .finds_again = [] { return true; }});
  const std::vector<TokenId> known = random_ids(200, 1);
  const auto stored = submit(scheduler, known, 2);
  scheduler.run_until([&] { return stored->over_.load(); });
  tiny.store().wait_for_commits();
  const auto running = submit(scheduler, random_ids(3, 2), 30);
  scheduler.run_until([&] { return running->sweeps_ == 1; });
  const auto first = submit(scheduler, random_ids(100, 3), 2);
  const auto second = submit(scheduler, known, 2);
  scheduler.run_until([&] { return second->over_.load(); });
  EXPECT_FALSE(first->over_);
  EXPECT_EQ(second->cached_, std::vector<std::size_t>{199});
}

// Of what nobody takes one does not put the other aside.
TEST_F(Schedules, RestOnTheLinesThatTheyHave) {
  const io::TemporaryFolder folder;
  TinyEngine tiny(model_, stored_options(16, folder));
  Scheduler scheduler(tiny.engine(), tiny.store(), pool_,
                      {.lines = 1, .finds_again = [] { return true; }});
  const auto first = submit(scheduler, random_ids(3, 1), 10);
  const auto second = submit(scheduler, random_ids(3, 2), 10);
  first->rests_ = second->rests_ = true;
  scheduler.run_until([&] { return first->sweeps_ == 3; });
  EXPECT_EQ(first->cached_.size(), 1U);
  EXPECT_TRUE(second->cached_.empty());
  // Others get the line.
  const auto third = submit(scheduler, random_ids(3, 3), 5);
  scheduler.run_until([&] { return third->over_.load(); });
  EXPECT_EQ(first->sweeps_, 3U);
  scheduler.run_until([&] { return first->over_ && second->over_; });
  EXPECT_TRUE(same(*first, *alone(random_ids(3, 1), 10)));
}

// Random arrivals, priorities, cancellations and rests, from several threads that wait.
TEST_F(Schedules, ChangeNoAnswer) {
  constexpr std::size_t kKinds = 6;
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::shared_ptr<Greedy>> expected;
  for (std::uint32_t i = 0; i < kKinds; ++i) {
    prompts.push_back(random_ids(1 + 37 * (i / 2), i / 2));
    prompts.back().back() = static_cast<TokenId>(i);
    expected.push_back(alone(prompts.back(), 9));
  }
  const int rounds =
      std::getenv("OLLM_SCHEDULES") != nullptr ? std::atoi(std::getenv("OLLM_SCHEDULES")) : 20;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    TinyEngine tiny(model_, options(8 + static_cast<std::size_t>(round % 3) * 12, 700));
    Scheduler scheduler(tiny.engine(), tiny.store(), pool_, {.lines = kLines});
    const auto client = [&](std::uint32_t seed) {
      std::mt19937 random(seed);
      for (int i = 0; i < 6; ++i) {
        const std::size_t kind = random() % kKinds;
        auto job = std::make_shared<Greedy>(prompts[kind], 9);
        if (random() % 4 == 0) job->cancel_at_ = job->prompt_ + 1 + random() % 9;
        job->rests_ = random() % 5 == 0;
        scheduler.submit(job, terms(*job, static_cast<int>(random() % 3)));
        if (random() % 6 == 0) job->cancelled_ = true;
        scheduler.run_until([&] { return job->over_.load(); });
        ASSERT_TRUE(job->over_);
        if (job->error_) {
          EXPECT_EQ(job->error_, ErrorKind::cancelled);
        } else {
          EXPECT_TRUE(same(*job, *expected[kind]));
        }
      }
    };
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 4; ++i)
      threads.emplace_back(client, static_cast<std::uint32_t>(round) * 10 + i);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(scheduler.running() + scheduler.waiting(), 0U);
  }
}

}  // namespace
}  // namespace ollm::engine
