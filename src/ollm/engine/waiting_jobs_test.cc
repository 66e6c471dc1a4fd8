#include "ollm/engine/waiting_jobs.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace ollm::engine {
namespace {

// A job that only has tokens.
class Tokens final : public Job {
 public:
  explicit Tokens(std::vector<TokenId> ids) : ids_(std::move(ids)) {}
  std::span<const TokenId> tokens() const override { return ids_; }
  std::size_t first_logit() const override { return 0; }
  bool cancelled() const override { return false; }
  void began(std::size_t) override {}
  Result<std::optional<TokenId>> take_logits(std::size_t, std::span<float>,
                                             sampling::Workspaces&) override {
    return std::optional<TokenId>();
  }
  bool swept(std::size_t, double) override { return false; }
  void ended(Result<void>, std::size_t) override {}

 private:
  std::vector<TokenId> ids_;
};

class Waiting : public ::testing::Test {
 protected:
  void add(std::vector<TokenId> ids, int priority = 0) {
    auto entry = std::make_unique<Entry>();
    entry->job = std::make_shared<Tokens>(std::move(ids));
    entry->terms.priority = priority;
    entry->arrival = next_++;
    jobs_.add(std::move(entry));
  }
  // The arrival of the next, or -1.
  int take() {
    const auto entry = jobs_.take([](Entry&) { return WaitingJobs::Fit::yes; });
    return entry ? static_cast<int>(entry->arrival) : -1;
  }

  WaitingJobs jobs_;
  std::uint64_t next_ = 0;
};

TEST_F(Waiting, ComeByPriorityThenByArrival) {
  add({1});
  add({2}, 1);
  add({3});
  add({4}, 1);
  EXPECT_EQ(take(), 1);
  EXPECT_EQ(take(), 3);
  EXPECT_EQ(take(), 0);
  EXPECT_EQ(take(), 2);
  EXPECT_EQ(take(), -1);
}

TEST_F(Waiting, PreferWhatIsKnown) {
  add({1, 2, 3, 4});
  add({5, 6, 7, 8});
  add({5, 6, 9, 9});
  jobs_.learn(std::vector<TokenId>{5, 6, 9, 1});
  EXPECT_EQ(take(), 2);
  EXPECT_EQ(take(), 1);
  EXPECT_EQ(take(), 0);
}

TEST_F(Waiting, PassByWhatDoesNotFit) {
  add({1});
  add({2});
  const auto second = jobs_.take([](Entry& entry) {
    return entry.arrival == 0 ? WaitingJobs::Fit::no : WaitingJobs::Fit::yes;
  });
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->arrival, 1U);
  EXPECT_EQ(jobs_.take([](Entry&) { return WaitingJobs::Fit::none_does; }), nullptr);
  EXPECT_EQ(jobs_.size(), 1U);
}

// One of the lowest priority, of which nothing is known, beside a stream of better ones.
TEST_F(Waiting, AreOvertakenSoOftenAtMost) {
  add({9, 9, 9}, -5);
  std::size_t before = 0;
  for (;; ++before) {
    ASSERT_LE(before, WaitingJobs::kMostOvertakes);
    for (int i = 0; i < 2; ++i) add({1, 2, 3}, 5);
    jobs_.learn(std::vector<TokenId>{1, 2, 3});
    if (take() == 0) break;
  }
  EXPECT_EQ(before, WaitingJobs::kMostOvertakes);
}

// Several of them behind more of a higher priority than are looked at.
TEST_F(Waiting, GoInTheOrderOfArrivalOnceTheyWereOvertakenTooOften) {
  for (int i = 0; i < 3; ++i) add({9, 9, 9}, -i);
  const auto stream = [&] { add({1, 2, 3}, 5); };
  for (std::size_t i = 0; i < WaitingJobs::kWindow + 1; ++i) stream();
  for (std::size_t i = 0; i < WaitingJobs::kMostOvertakes; ++i) {
    ASSERT_GT(take(), 2);
    stream();
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(take(), i);
  EXPECT_GT(take(), 2);
}

}  // namespace
}  // namespace ollm::engine
