// Same bits: whatever the chunk, the threads, the lines beside and the size of KV blocks,
// logits are equal bit for bit; and so they are on every table of one numeric class.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/loaded_model.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

struct Case {
  std::string model;
  backend::ComputeMode compute;
};

// Every kind of block that is built: grouped heads, biases, windows, norms of q and k, fused
// projections, norms behind blocks, layers without rotary, layer norm. The first of each are our
// own.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* model : {"grouped-tied",
                            "yarn-f16",
                            "mistral-window",
                            "qwen2-window",
                            "phi3-window",
                            "smollm3-no-rope-layer",
                            "olmo2-norms-behind",
                            "qwen3-next-dense-layer",
                            "qwen35-mtp",
                            "gemma2-caps",
                            "cohere2-side-by-side",
                            "ministral3-queries-grow",
                            "llama",
                            "llama-bias-mha",
                            "llama-f16",
                            "llama-yarn",
                            "qwen2",
                            "qwen3",
                            "phi3",
                            "mistral",
                            "smollm3",
                            "olmo2",
                            "granite",
                            "starcoder2",
                            "mixtral",
                            "qwen2-moe",
                            "qwen3-moe",
                            "granite-moe",
                            "phimoe",
                            "ernie4.5-moe",
                            "glm4-moe",
                            "minimax-m2",
                            "gpt-oss",
                            "qwen3-next",
                            "qwen3.5",
                            "qwen3.5-moe"})
    all.push_back({model, backend::ComputeMode::f32});
  for (const char* model :
       {"llama3-rope-bias-bf16", "qwen3-yarn-bf16", "granite-bf16", "starcoder2-window-bf16",
        "qwen35-moe-bf16", "gemma3-two-bases-bf16", "llama-bf16", "qwen3-bf16", "gpt-oss-bf16",
        "gpt-oss-mxfp4", "qwen3-next-bf16"}) {
    all.push_back({model, backend::ComputeMode::f32});
    all.push_back({model, backend::ComputeMode::bf16});
  }
  return all;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model + "_" + std::string(to_string(info.param.compute));
  for (char& c : name)
    if (c == '-' || c == '.') c = '_';
  return name;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The one that is looked at, and those beside it.
constexpr std::size_t kOthers = 6;
constexpr std::size_t kLines = kOthers + 1;

class SameBits : public ::testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<LoadedModel> load(backend::Isa isa, std::size_t threads,
                                    std::size_t kv_block_tokens = 64,
                                    const weights::Options& weights = {},
                                    std::size_t feed_forward_rows = 1024) {
    LoadOptions options;
    options.feed_forward_rows = feed_forward_rows;
    options.weights = weights;
    options.isa = isa;
    options.compute = GetParam().compute;
    options.threads = threads;
    options.max_rows = 1024;
    options.max_logit_rows = 1024;
    options.kv_block_tokens = kv_block_tokens;
    options.kv_lines = kLines;
    auto model = LoadedModel::load(*golden_model(GetParam().model), options);
    EXPECT_TRUE(model.ok()) << model.error().message;
    return std::move(model).value();
  }

  // The line's logits, computed in uneven chunks while six others go along in each sweep.
  std::vector<float> beside_others(LoadedModel& model, const std::vector<std::int32_t>& ids) {
    const CancellationToken never;
    const std::size_t vocab = model.vocab_size();
    std::vector<std::vector<std::int32_t>> others;
    std::vector<kv::Line> lines;
    for (std::uint32_t i = 0; i < kOthers; ++i)
      others.push_back(random_ids(30 + 25 * i, vocab, 1000 + i));
    for (std::size_t i = 0; i <= kOthers; ++i) {
      lines.push_back(model.new_line());
      EXPECT_TRUE(lines[i].reserve(i == kOthers ? ids.size() : others[i].size()).ok());
    }
    std::vector<float> out(ids.size() * vocab);
    std::vector<std::size_t> done(kOthers + 1, 0);
    for (std::size_t round = 0; done[kOthers] < ids.size(); ++round) {
      std::vector<engine::Work> work;
      std::vector<std::size_t> who;
      for (std::size_t i = 0; i <= kOthers; ++i) {
        const std::vector<std::int32_t>& all = i == kOthers ? ids : others[i];
        const std::size_t wanted = 1 + (round * 13 + i * 7) % 23;
        const std::size_t count = std::min(wanted, all.size() - done[i]);
        if (count == 0) continue;
        work.push_back({&lines[i], std::span(all).subspan(done[i], count), 0});
        who.push_back(i);
      }
      EXPECT_TRUE(engine::sweep(
                      model.engine(), work,
                      [&](std::size_t item, std::size_t token, std::span<float> logits) {
                        if (who[item] != kOthers) return;
                        std::copy(logits.begin(), logits.end(),
                                  out.begin() +
                                      static_cast<std::ptrdiff_t>((done[kOthers] + token) * vocab));
                      },
                      never)
                      .ok());
      for (std::size_t i = 0; i < work.size(); ++i) done[who[i]] += work[i].tokens.size();
    }
    return out;
  }
};

TEST_P(SameBits, WhateverChunkThreadsNeighboursBlocksAndTable) {
  if (!golden_model(GetParam().model)) OLLM_WITHOUT_TEST_DATA("golden/models/" + GetParam().model);
  std::vector<float> of_class;  // the first table's logits of the fma16 class
  for (const backend::Isa isa : backend::supported_isas()) {
    SCOPED_TRACE(std::string(to_string(isa)));
    const auto one = load(isa, 1);
    const std::vector<std::int32_t> ids = random_ids(150, one->vocab_size(), 7);
    const auto whole = one->logits(ids, ids.size());
    ASSERT_TRUE(whole.ok()) << whole.error().message;

    for (const std::size_t chunk : {1u, 7u, 64u}) {
      const auto chunked = one->logits(ids, chunk);
      ASSERT_TRUE(chunked.ok());
      EXPECT_TRUE(same_bits(*whole, *chunked)) << "chunk " << chunk;
    }
    const auto two = load(isa, 2, 192);
    const auto threaded = two->logits(ids, 64);
    ASSERT_TRUE(threaded.ok());
    EXPECT_TRUE(same_bits(*whole, *threaded)) << "2 threads, KV blocks of 192";
    EXPECT_TRUE(same_bits(*whole, beside_others(*two, ids))) << "beside six others";

    const auto pieces = load(isa, 2, 64, {}, 12);
    const auto in_pieces = pieces->logits(ids, ids.size());
    ASSERT_TRUE(in_pieces.ok());
    EXPECT_TRUE(same_bits(*whole, *in_pieces)) << "feed-forward in pieces of 12 rows";

    if (backend::numeric_class(isa, GetParam().compute) != backend::NumericClass::fma16) continue;
    if (of_class.empty()) of_class = *whole;
    EXPECT_TRUE(same_bits(of_class, *whole)) << "differs from the scalar table";
  }
}

// Where weights may be and how they may come, in segments and reads so small that every matrix of
// these models is cut.
std::vector<weights::Options> ways_to_hold(std::uint64_t all_bytes) {
  std::vector<weights::Options> ways;
  for (const std::uint64_t pinned : {all_bytes / 2, std::uint64_t{0}}) {
    weights::Options way;
    way.segment_bytes = 8192;
    way.read_bytes = 4096;
    way.ring_slots = 3;
    way.pinned_limit_bytes = pinned;
    way.expert_slots = pinned == 0 ? 0 : 10;  // the fewest, or some that are kept
    way.most_passing_slots = 0;
    ways.push_back(way);  // buffered
    way.access = io::Access::direct;
    ways.push_back(way);
    if (!io::io_uring_allowed()) continue;
    way.read_method = io::ReadMethod::io_uring;
    ways.push_back(way);
  }
  return ways;
}

class StreamedSameBits : public SameBits {
 protected:
  // Every `step`-th combination of table, place, reads, chunk, threads and neighbours, beginning
  // with the `first`.
  void hold(std::size_t first, std::size_t step) {
    if (!golden_model(GetParam().model))
      OLLM_WITHOUT_TEST_DATA("golden/models/" + GetParam().model);
    std::size_t index = 0;
    for (const backend::Isa isa : backend::supported_isas()) {
      const auto pinned = load(isa, 1);
      const std::vector<std::int32_t> ids = random_ids(70, pinned->vocab_size(), 7);
      const auto expected = pinned->logits(ids, ids.size());
      ASSERT_TRUE(expected.ok()) << expected.error().message;
      ASSERT_TRUE(pinned->tape().map().all_pinned());
      for (const weights::Options& way : ways_to_hold(pinned->tape().map().pinned_bytes)) {
        for (const std::size_t threads : {1u, 2u}) {
          std::unique_ptr<LoadedModel> streamed;
          for (const std::size_t chunk : {1u, 7u, 64u, 70u, 0u}) {  // 0: beside six others
            if (index++ % step != first) continue;
            if (!streamed) streamed = load(isa, threads, 64, way);
            SCOPED_TRACE(::testing::Message()
                         << to_string(isa) << ", pinned " << way.pinned_limit_bytes << ", "
                         << to_string(way.read_method)
                         << (way.access == io::Access::direct ? " direct" : " buffered") << ", "
                         << threads << " threads, chunk " << chunk);
            EXPECT_FALSE(streamed->tape().map().all_pinned());
            if (chunk == 0) {
              EXPECT_TRUE(same_bits(*expected, beside_others(*streamed, ids)));
              continue;
            }
            const auto logits = streamed->logits(ids, chunk);
            ASSERT_TRUE(logits.ok()) << logits.error().message;
            EXPECT_TRUE(same_bits(*expected, *logits));
          }
        }
      }
    }
  }
};

TEST_P(StreamedSameBits, WhereverWeightsAreAndHoweverTheyComeSampled) { hold(3, 29); }

class SlowStreamedSameBits : public StreamedSameBits {};
TEST_P(SlowStreamedSameBits, WhereverWeightsAreAndHoweverTheyCome) { hold(0, 1); }

INSTANTIATE_TEST_SUITE_P(Models, StreamedSameBits, ::testing::ValuesIn(cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Models, SlowStreamedSameBits, ::testing::ValuesIn(cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Models, SameBits, ::testing::ValuesIn(cases()), case_name);

}  // namespace
}  // namespace ollm::testing
