#include "ollm/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace ollm {
namespace {

TEST(ThreadPool, CallsEveryIndexOnce) {
  for (std::size_t threads : {1u, 2u, 5u}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (std::size_t count : {0u, 1u, 2u, 3u, 100u}) {
      std::vector<std::atomic<int>> calls(count);
      pool.parallel_for(count, [&](std::size_t i) { calls[i].fetch_add(1); });
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(calls[i].load(), 1) << i;
    }
  }
}

TEST(ThreadPool, ManyShortLoopsInARow) {
  ThreadPool pool(3);
  std::atomic<std::size_t> sum{0};
  for (int round = 0; round < 20000; ++round)
    pool.parallel_for(4, [&](std::size_t i) { sum.fetch_add(i, std::memory_order_relaxed); });
  EXPECT_EQ(sum.load(), 20000u * 6u);
}

TEST(ThreadPool, WritesOfTheBodyAreSeenAfterTheLoop) {
  ThreadPool pool(2);
  std::vector<int> values(64, 0);
  for (int round = 1; round <= 1000; ++round) {
    pool.parallel_for(values.size(), [&](std::size_t i) { values[i] = round; });
    for (int value : values) ASSERT_EQ(value, round);
  }
}

}  // namespace
}  // namespace ollm
