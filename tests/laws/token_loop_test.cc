// The token loop allocates nothing: counted over 200 tokens.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/allocation_count.h"
#include "tests/loaded_model.h"

namespace ollm::testing {
namespace {

// Everything pinned, and nothing pinned by each way of reading.
std::vector<weights::Options> ways_to_hold() {
  std::vector<weights::Options> ways(1);
  weights::Options streamed;
  streamed.pinned_limit_bytes = 0;
  streamed.segment_bytes = 8 << 10;
  streamed.read_bytes = 8 << 10;
  streamed.ring_slots = 3;
  ways.push_back(streamed);
  streamed.access = io::Access::direct;
  ways.push_back(streamed);
  if (io::io_uring_allowed()) {
    streamed.read_method = io::ReadMethod::io_uring;
    ways.push_back(streamed);
  }
  return ways;
}

class TokenLoop : public ::testing::TestWithParam<weights::Options> {};

TEST_P(TokenLoop, AllocatesNothingAfterTheFirstToken) {
  for (const backend::ComputeMode mode : {backend::ComputeMode::f32, backend::ComputeMode::bf16}) {
    LoadOptions options;
    options.isa = backend::best_isa(mode);
    options.compute = mode;
    options.threads = 2;
    options.max_rows = 8;
    options.max_logit_rows = 1;
    options.weights = GetParam();
    const bool bf16 = mode == backend::ComputeMode::bf16;
    const auto folder = golden_model(bf16 ? "llama3-rope-bias-bf16" : "mistral-window");
    ASSERT_TRUE(folder);
    auto loaded = LoadedModel::load(*folder, options);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    LoadedModel& model = **loaded;
    const CancellationToken never;
    kv::Line kv = model.new_line();
    ASSERT_TRUE(kv.reserve(210).ok());
    std::vector<std::int32_t> line = {1, 40, 7, 26, 37};
    line.reserve(256);
    const auto take = [&](std::span<float> logits) { line.push_back(argmax(logits)); };
    ASSERT_TRUE(engine::extend(model.engine(), kv, line, nullptr, take, never).ok());
    const std::size_t before = allocation_count();
    for (int token = 0; token < 200; ++token) {
      const std::int32_t last = line.back();
      ASSERT_TRUE(engine::extend(model.engine(), kv, {&last, 1}, nullptr, take, never).ok());
    }
    EXPECT_EQ(allocation_count() - before, 0u);
  }
}

// Where blocks go to disk, only the token that fills one allocates, for what is written.
TEST(TokenLoopOnDisk, AllocatesNothingButWhereABlockIsFull) {
  constexpr std::size_t kBlock = 64;
  const io::TemporaryFolder folder;
  LoadOptions options;
  options.isa = backend::best_isa(backend::ComputeMode::f32);
  options.threads = 2;
  options.max_rows = 8;
  options.max_logit_rows = 1;
  options.kv_strategy = "paged";
  options.kv_block_tokens = kBlock;
  options.kv_pool = kv::PoolOptions();
  options.kv_pool->folder = folder.path() / "kv";
  options.kv_pool->cap_bytes = std::uint64_t{1} << 30;
  options.kv_pool->free_share = 0;
  auto loaded = LoadedModel::load(*golden_model("mistral-window"), options);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  LoadedModel& model = **loaded;
  ASSERT_TRUE(model.store().options().spills());
  const CancellationToken never;
  kv::Line kv = model.new_line();
  ASSERT_TRUE(kv.reserve(1000).ok());
  std::vector<std::int32_t> line = {1, 40, 7, 26, 37};
  line.reserve(1024);
  const auto take = [&](std::span<float> logits) { line.push_back(argmax(logits)); };
  ASSERT_TRUE(engine::extend(model.engine(), kv, line, nullptr, take, never).ok());
  std::size_t between = 0;
  for (int token = 0; token < 800; ++token) {
    const std::int32_t last = line.back();
    const std::size_t before = allocation_count();
    ASSERT_TRUE(engine::extend(model.engine(), kv, {&last, 1}, nullptr, take, never).ok());
    if (kv.tokens() % kBlock == 0) {
      model.store().wait_for_commits();  // the writer allocates at its own time
    } else {
      between += allocation_count() - before;
    }
  }
  EXPECT_EQ(between, 0u);
  EXPECT_GT(model.store().counters().bytes_read, 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, TokenLoop, ::testing::ValuesIn(ways_to_hold()),
                         [](const ::testing::TestParamInfo<weights::Options>& of) {
                           const weights::Options& way = of.param;
                           if (way.pinned_limit_bytes != 0) return std::string("pinned");
                           if (way.access == io::Access::buffered) return std::string("buffered");
                           return std::string(to_string(way.read_method));
                         });

}  // namespace
}  // namespace ollm::testing
