// What a process that is killed, a power cut, or a disk that fails leaves: right blocks or none.
#include <fmt/format.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/clock.h"
#include "ollm/kv/pool_folder.h"
#include "ollm/kv/power_cut_calls.h"

namespace ollm::kv {
namespace {

constexpr std::uint64_t kBlockBytes = std::uint64_t{kTestLayers} * kTestPart;

// Saves, extends, uses, evicts, gives back and reopens, with whatever fails on the way.
class Scenario {
 public:
  explicit Scenario(std::filesystem::path folder) : options_(options_in(folder)) {
    options_.cap_bytes = 30 * kBlockBytes;
    options_.file_bytes = 16 * kBlockBytes;
  }

  void run(PowerCutCalls& calls) {
    first_part(calls);
    done_before_eviction_ = calls.changes();
    second_part(calls);
  }

  static std::vector<std::vector<TokenId>> lines() {
    std::vector<std::vector<TokenId>> out;
    for (std::uint64_t i = 0; i < 6; ++i) out.push_back(test_tokens(i, 4 * kTestBlockTokens + 3));
    return out;
  }

  const PoolOptions& options() const { return options_; }
  /// Changes after which the first line was committed, and before which nothing was evicted.
  std::size_t committed_at() const { return committed_at_; }
  std::size_t done_before_eviction() const { return done_before_eviction_; }
  bool stored_first() const { return stored_first_; }

 private:
  using Lines = std::vector<std::vector<TokenId>>;

  static bool store(Pool& pool, std::span<const TokenId> tokens) {
    const auto records = write_line(pool, test_fingerprint(), tokens);
    if (!records.ok()) return false;
    if (!pool.commit(*records).ok()) {
      for (const BlockRecord& record : *records) pool.give_back(record.place);
      return false;
    }
    for (const BlockRecord& record : *records) pool.release(record.id);
    return true;
  }

  std::unique_ptr<Pool> open(PowerCutCalls& calls) {
    auto pool = Pool::open(options_, calls);
    if (!pool.ok()) return nullptr;
    (void)(*pool)->set_fingerprint(test_fingerprint());
    return std::move(pool).value();
  }

  void first_part(PowerCutCalls& calls) {
    const auto pool = open(calls);
    if (!pool) return;
    const Lines all = lines();
    if (store(*pool, std::span(all[0]).first(20)) && store(*pool, all[0])) {
      committed_at_ = calls.changes();
      stored_first_ = true;
    }
    store(*pool, all[1]);
    if (const auto records = write_line(*pool, test_fingerprint(), all[2]); records.ok())
      pool->give_back(records->front().place);  // the others are left where they are
  }

  void second_part(PowerCutCalls& calls) {
    const Lines all = lines();
    auto pool = open(calls);
    if (!pool) return;
    if (const auto found = pool->match(0, root_id(), all[1])) {
      pool->used(found->record.id);
      pool->release(found->record.id);
    }
    store(*pool, all[3]);
    store(*pool, all[4]);  // evicts
    if (const auto found = pool->match(0, root_id(), all[4])) pool->set_aside(found->record.id);
    pool = open(calls);
    if (pool) store(*pool, all[5]);
  }

  PoolOptions options_;
  std::size_t committed_at_ = 0;
  std::size_t done_before_eviction_ = 0;
  bool stored_first_ = false;
};

// Opens what was left: all that is found is right (stored_tokens ends the test where it is not),
// and goes on storing in it.
void expect_sound(const PoolOptions& options, bool has_first_line) {
  const auto lines = Scenario::lines();
  PoolOptions wide = options;
  wide.cap_bytes = std::uint64_t{1} << 30;
  PowerCutCalls calls;  // makes no syncs: nothing is cut any more
  auto pool = open_pool(wide, calls);
  ASSERT_TRUE(pool);
  if (has_first_line) {
    EXPECT_EQ(stored_tokens(*pool, lines[0]), lines[0].size());
  }
  for (const auto& line : lines) stored_tokens(*pool, line);
  for (const auto& line : lines) {
    ASSERT_OK(store_line(*pool, test_fingerprint(), line));
    EXPECT_EQ(stored_tokens(*pool, line), line.size());
  }
  pool.reset();
  pool = open_pool(wide, calls);
  for (const auto& line : lines) EXPECT_EQ(stored_tokens(*pool, line), line.size());
  EXPECT_EQ(pool->counters().blocks_set_aside, 0u);
}

class PoolFaults : public PoolFolderTest {
 protected:
  std::uint64_t calls_of_a_run() const {
    PowerCutCalls calls;
    Scenario scenario(folder());
    scenario.run(calls);
    EXPECT_TRUE(scenario.stored_first());
    return calls.calls();
  }
  std::filesystem::path image() const { return folder_.path() / "image"; }

  // The scenario again and again, with a fault at another of its calls each time.
  void try_each_call(std::uint64_t first, std::uint64_t step,
                     FunctionRef<void(PowerCutCalls& calls, std::uint64_t k)> fault) const {
    const std::uint64_t calls_in_all = calls_of_a_run();
    for (std::uint64_t k = first; k < calls_in_all; k += step) {
      SCOPED_TRACE(fmt::format("call {} of {}", k, calls_in_all));
      std::filesystem::remove_all(folder());
      PowerCutCalls calls;
      fault(calls, k);
      Scenario scenario(folder());
      scenario.run(calls);
      expect_sound(scenario.options(), false);
      ASSERT_FALSE(HasFailure());
    }
  }
  static void fail_once(PowerCutCalls& calls, std::uint64_t k) {
    calls.fail_at(k, EIO, /*once=*/true, /*writes_alone=*/false);
  }

  // Images of power cuts at random times, for so many seconds or so many of them.
  void cut_power(double seconds, std::size_t images) const {
    PowerCutCalls calls;
    Scenario scenario(folder());
    scenario.run(calls);
    ASSERT_TRUE(scenario.stored_first());
    const double end = monotonic_seconds() + seconds;
    std::size_t tried = 0;
    for (; tried < images && monotonic_seconds() < end; ++tried) {
      SCOPED_TRACE(fmt::format("image {}", tried));
      std::mt19937_64 random(tried);
      const std::size_t changes = random() % (calls.changes() + 1);
      calls.write_image(image(), changes, random());
      PoolOptions options = scenario.options();
      options.folder = image();
      expect_sound(options, changes >= scenario.committed_at() &&
                                changes <= scenario.done_before_eviction());
      ASSERT_FALSE(HasFailure());
    }
    RecordProperty("images", static_cast<int>(tried));
  }
};

TEST_F(PoolFaults, APowerCutLeavesRightBlocksOrNoneAndWhatWasCommitted) { cut_power(0.7, 500); }

class SlowPoolFaults : public PoolFaults {};

TEST_F(SlowPoolFaults, FiveThousandPowerCuts) { cut_power(600, 5000); }

// Every sixth call, beginning with another one each; all of them are tried among the slow tests.
TEST_F(PoolFaults, AProcessThatIsKilledAtAnyCallLeavesRightBlocksOrNone) {
  try_each_call(1, 6, [](PowerCutCalls& calls, std::uint64_t k) { calls.stop_at(k); });
}

TEST_F(PoolFaults, ACallThatFailsOnceCostsNoWrongBlock) { try_each_call(4, 6, &fail_once); }

TEST_F(SlowPoolFaults, AProcessThatIsKilledAtEachCall) {
  try_each_call(0, 1, [](PowerCutCalls& calls, std::uint64_t k) { calls.stop_at(k); });
}

TEST_F(SlowPoolFaults, EachCallFailsOnce) { try_each_call(0, 1, &fail_once); }

TEST_F(PoolFaults, AFullDiskAtAnyWriteIsOutOfBudgetAndGivesItsSpaceBack) {
  for (std::uint64_t k = 0;; ++k) {
    SCOPED_TRACE(fmt::format("write {}", k));
    std::filesystem::remove_all(folder());
    PowerCutCalls calls;
    auto pool = open_pool(options(), calls);
    ASSERT_OK(store_line(*pool, fingerprint_, line_));
    const std::uint64_t before = disk_bytes(folder());
    const auto more = test_tokens(2, 60);
    const std::uint64_t calls_before = calls.calls();
    calls.fail_at(calls_before + k, ENOSPC, /*once=*/false, /*writes_alone=*/true);
    const auto stored = store_line(*pool, fingerprint_, more);
    if (stored.ok()) break;
    EXPECT_EQ(stored.error().kind, ErrorKind::out_of_budget);
    EXPECT_EQ(stored_tokens(*pool, more), 0u);
    EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
    EXPECT_LE(disk_bytes(folder()), before + 4 * 4096) << "stripes' pages";
    calls.heal();
    ASSERT_OK(store_line(*pool, fingerprint_, more)) << "there is space again";
    EXPECT_EQ(stored_tokens(*pool, more), more.size());
    pool.reset();
    pool = open_pool(options());
    EXPECT_EQ(stored_tokens(*pool, more), more.size());
    ASSERT_FALSE(HasFailure());
    ASSERT_LT(k, 1000u);
  }
}

}  // namespace
}  // namespace ollm::kv
