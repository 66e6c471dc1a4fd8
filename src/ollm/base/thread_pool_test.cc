#include "ollm/base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "ollm/base/forbidden_calls.h"
#include "ollm/base/thread.h"

namespace ollm {
namespace {

// A field of /proc/self/status in bytes.
std::size_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::stoul(line.substr(field.size() + 1)) * 1024;
  return 0;
}

// That a pool that was asked for `threads` has from `least` to `most` and calls all indices: 0.
int pool_works(std::size_t threads, std::size_t least, std::size_t most) {
  ThreadPool pool(threads);
  if (pool.threads() < least || pool.threads() > most) return 1;
  std::vector<std::atomic<int>> calls(1000);
  pool.parallel_for(calls.size(), [&](std::size_t i) { calls[i].fetch_add(1); });
  for (const std::atomic<int>& count : calls)
    if (count.load() != 1) return 2;
  return 0;
}

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

TEST(ThreadPool, OfNoThreadsIsTheCallerAlone) { EXPECT_EQ(pool_works(0, 1, 1), 0); }

TEST(Thread, MayYieldToAllOthersAlone) {
  const int before = ::getpriority(PRIO_PROCESS, 0);
  int niceness = 0;
  int policy = -1;
  {
    const auto thread = Thread::start([&] {
      yield_to_all_others();
      niceness = ::getpriority(PRIO_PROCESS, 0);
      policy = ::sched_getscheduler(0);
    });
    ASSERT_TRUE(thread.ok());
  }
  EXPECT_EQ(niceness, 19);
  EXPECT_EQ(policy, SCHED_OTHER);  // of SCHED_IDLE it might never come to let go a lock
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), before);
}

// pids.max, `ulimit -u`: no thread can be started.
TEST(ThreadPool, WhereNoThreadCanBeStartedTheCallerWorksAlone) {
  const int result = in_child([] {
    if (!forbid_calls({SYS_clone, SYS_clone3}, EAGAIN)) return kNotPossibleHere;
    return pool_works(4, 1, 1);
  });
  if (result == kNotPossibleHere) GTEST_SKIP() << "skipped: no seccomp filters here";
  EXPECT_EQ(result, 0);
}

TEST(ThreadPool, WhereFewThreadsCanBeStartedTheyDoTheWork) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "skipped: a sanitizer ends the process where it gets no memory for a thread";
#endif
  const int result = in_child([] {
    const rlim_t limit = status_bytes("VmSize") + 16 * Thread::kStackBytes;
    const rlimit space{limit, limit};
    if (::setrlimit(RLIMIT_AS, &space) != 0) return kNotPossibleHere;
    return pool_works(256, 2, 255);
  });
  if (result == kNotPossibleHere) GTEST_SKIP() << "skipped: no limit of the address space here";
  EXPECT_EQ(result, 0);
}

TEST(Thread, TakesNoMoreMemoryThanPlansCount) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "skipped: a sanitizer keeps memory of its own for each thread";
#endif
  constexpr std::size_t kThreads = 256;
  const std::size_t before = status_bytes("VmRSS");
  ThreadPool pool(kThreads + 1);
  std::atomic<int> sum{0};
  pool.parallel_for(10 * kThreads, [&](std::size_t i) { sum += static_cast<int>(i); });
  const std::size_t after = status_bytes("VmRSS");
  RecordProperty("bytes_per_thread", std::to_string((after - before) / kThreads));
  EXPECT_LE(after, before + pool.threads() * Thread::kResidentBytes);
}

}  // namespace
}  // namespace ollm
