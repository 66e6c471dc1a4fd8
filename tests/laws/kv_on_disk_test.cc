// Same bits, wherever keys and values are and whoever stored them: no store at all, blocks in
// memory that are also written, blocks that only the disk has room for, and those that an earlier
// store left; whatever the strategy, the chunk, the threads and the lines beside.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "ollm/kv/strategies.h"
#include "tests/loaded_model.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

using Ids = std::vector<std::int32_t>;

struct Case {
  std::string model;
  backend::ComputeMode compute = backend::ComputeMode::f32;
  bool by_tensors = false;
};

// Every model with goldens that is ours.
std::vector<Case> our_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("tests/fixtures/models"))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  std::vector<Case> all;
  for (const std::string& name : names) {
    all.push_back({name});
    if (name.ends_with("bf16")) all.push_back({name, backend::ComputeMode::bf16});
  }
  // Composed as if nobody knew the family.
  for (const char* name : {"grouped-tied", "olmo2-norms-behind", "yarn-f16"})
    all.push_back({name, backend::ComputeMode::f32, true});
  return all;
}

std::vector<Case> all_cases() {
  std::vector<Case> all = our_cases();
  for (const char* name :
       {"llama",        "llama-bias-mha", "llama-f16",  "llama-yarn", "qwen2",       "qwen3",
        "phi3",         "mistral",        "smollm3",    "olmo2",      "granite",     "starcoder2",
        "gpt-oss",      "mixtral",        "qwen2-moe",  "qwen3-moe",  "granite-moe", "phimoe",
        "ernie4.5-moe", "glm4-moe",       "minimax-m2", "qwen3-next", "qwen3.5",     "qwen3.5-moe"})
    all.push_back({name});
  for (const char* name : {"llama-bf16", "qwen3-bf16", "gpt-oss-mxfp4", "qwen3-next-bf16"}) {
    all.push_back({name});
    all.push_back({name, backend::ComputeMode::bf16});
  }
  return all;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model + "_" + std::string(to_string(info.param.compute)) +
                     (info.param.by_tensors ? "_by_tensors" : "");
  for (char& c : name)
    if (c == '-' || c == '.') c = '_';
  return name;
}

// How keys and values are kept, and how the sweeps go over them.
struct Way {
  const kv::Strategy* strategy = nullptr;
  bool spills = false;  // the fewest frames, and nothing outside windows; else all blocks
  std::size_t chunk = 64;
  std::size_t threads = 1;
  bool beside = false;
};

// Of the strategies whose answer is exact, or of the others, each with an answer of its own.
enum class Answer { exact, quantized };

std::vector<Way> ways(Answer answer) {
  std::vector<Way> all;
  for (const kv::Strategy& strategy : kv::kStrategies) {
    if (strategy.writing == kv::Writing::never) continue;
    if (strategy.exact() != (answer == Answer::exact)) continue;
    for (const bool spills : {false, true})
      for (const std::size_t chunk : {64u, 512u, 2048u})
        for (const std::size_t threads : {1u, 2u})
          for (const bool beside : {false, true})
            all.push_back({&strategy, spills, chunk, threads, beside});
  }
  return all;
}

std::string name_of(const Way& way) {
  return std::string(way.strategy->id) + (way.spills ? ", fewest frames" : ", all frames") +
         ", chunk " + std::to_string(way.chunk) + ", " + std::to_string(way.threads) +
         " threads, " + (way.beside ? "beside others" : "alone");
}

constexpr std::size_t kOthers = 2;
constexpr std::size_t kOtherRows = 17;
constexpr std::size_t kOtherTokens = 300;

class KvOnDiskLaw : public ::testing::TestWithParam<Case> {
 protected:
  LoadOptions options(std::size_t length, std::size_t chunk, std::size_t threads,
                      bool beside) const {
    LoadOptions out;
    out.isa = backend::best_isa(GetParam().compute);
    out.compute = GetParam().compute;
    out.by_tensors = GetParam().by_tensors;
    out.threads = threads;
    out.max_rows = out.max_logit_rows =
        std::min(chunk, length) + (beside ? kOthers * kOtherRows : 0);
    return out;
  }

  std::unique_ptr<LoadedModel> load(const LoadOptions& with) {
    auto model = LoadedModel::load(*golden_model(GetParam().model), with);
    EXPECT_TRUE(model.ok()) << model.error().message;
    return model.ok() ? std::move(model).value() : nullptr;
  }

  std::unique_ptr<LoadedModel> load(const Way& way, std::size_t length,
                                    const std::filesystem::path& folder) {
    LoadOptions with = options(length, way.chunk, way.threads, way.beside);
    with.kv_strategy = way.strategy->id;
    with.kv_block_tokens = way.strategy->block_tokens;
    with.kv_lines = way.beside ? 1 + kOthers : 1;
    with.kv_tokens = length + kOthers * kOtherTokens + 6 * with.kv_block_tokens;
    with.kv_frames = way.spills ? 0 : with.kv_tokens;
    with.kv_forgets = way.spills;
    with.kv_pool = kv::PoolOptions();
    with.kv_pool->folder = folder;
    with.kv_pool->stripe_part_bytes = way.strategy->stripe_part_bytes;
    with.kv_pool->cap_bytes = std::uint64_t{1} << 30;
    with.kv_pool->free_share = 0;
    return load(with);
  }

  // The logits [tokens, vocab] of a line, those that are stored left out at the beginning; how many
  // are. All of it is kept.
  static std::vector<float> run(LoadedModel& model, std::span<const std::int32_t> ids,
                                std::size_t chunk, bool beside, std::size_t* stored) {
    const std::size_t vocab = model.vocab_size();
    std::vector<Ids> of = {Ids(ids.begin(), ids.end())};
    for (std::uint32_t i = 0; beside && i < kOthers; ++i)
      of.push_back(random_ids(kOtherTokens - 40 * i, vocab, 500 + i));
    std::vector<kv::Line> lines;
    lines.reserve(of.size());
    for (const Ids& all : of) {
      lines.emplace_back(model.store());
      const auto found = lines.back().restart(0, all.size(), std::span(all).first(all.size() - 1));
      EXPECT_TRUE(found.ok()) << found.error().message;
      // Where states are kept, a later line starts at these; where they are not, anywhere.
      if (lines.back().tokens() + 1 < all.size()) lines.back().add_entry(all.size() - 1);
    }
    *stored = lines.front().tokens();
    std::vector<float> out((ids.size() - *stored) * vocab);
    const CancellationToken never;
    while (lines.front().tokens() < ids.size()) {
      std::vector<engine::Work> work;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::size_t at = lines[i].tokens();
        const std::size_t count = std::min(i == 0 ? chunk : kOtherRows, of[i].size() - at);
        if (count > 0) work.push_back({&lines[i], std::span(of[i]).subspan(at, count), 0});
      }
      const std::size_t done = lines.front().tokens() - *stored;
      const Result<void> swept = engine::sweep(
          model.engine(), work,
          [&](std::size_t item, std::size_t token, std::span<float> row) {
            if (item != 0) return;
            std::copy(row.begin(), row.end(),
                      out.begin() + static_cast<std::ptrdiff_t>((done + token) * vocab));
          },
          never);
      EXPECT_TRUE(swept.ok()) << swept.error().message;
      if (!swept.ok()) return {};
    }
    for (kv::Line& line : lines) line.keep();
    model.store().wait_for_commits();
    EXPECT_FALSE(model.store().write_error());
    return out;
  }

  void expect_tail(const std::vector<float>& logits, std::size_t end, const char* when) const {
    const std::size_t vocab = whole_.size() / ids_.size();
    ASSERT_EQ(logits.size() % vocab, 0u);
    ASSERT_LE(logits.size(), end * vocab);
    EXPECT_EQ(std::memcmp(logits.data(), whole_.data() + (end * vocab - logits.size()),
                          logits.size() * sizeof(float)),
              0)
        << when;
  }

  // All tokens computed by a line whose keys and values are in memory alone.
  void compute_whole(std::size_t length, Answer answer) {
    LoadOptions with = options(length, 200, 1, false);
    if (answer == Answer::quantized) {
      const kv::Strategy& strategy = *kv::find_strategy(kv::kQuantizedColdTier);
      with.kv_strategy = strategy.id;
      with.kv_block_tokens = strategy.block_tokens;
    }
    const auto resident = load(with);
    ASSERT_NE(resident, nullptr);
    ids_ = random_ids(length, resident->vocab_size(), 7);
    std::size_t stored = 0;
    whole_ = run(*resident, ids_, 200, false, &stored);
    ASSERT_EQ(whole_.size(), ids_.size() * resident->vocab_size());
  }

  // Computed and stored, found again by a second store, which goes on, and by a third.
  void hold(const Way& way) {
    SCOPED_TRACE(name_of(way));
    const io::TemporaryFolder folder;
    const std::size_t length = ids_.size();
    const std::size_t first = length - length / 4 - 3;
    std::size_t stored = 0;
    {
      const auto model = load(way, length, folder.path() / "kv");
      ASSERT_NE(model, nullptr);
      EXPECT_EQ(model->store().options().spills(), way.spills);
      expect_tail(run(*model, std::span(ids_).first(first), way.chunk, way.beside, &stored), first,
                  "computed");
      EXPECT_EQ(stored, 0u);
    }
    for (const char* when : {"found and gone on", "found"}) {
      const auto model = load(way, length, folder.path() / "kv");
      ASSERT_NE(model, nullptr);
      expect_tail(run(*model, ids_, way.chunk, way.beside, &stored), length, when);
      EXPECT_EQ(stored, std::string(when) == "found" ? length - 1 : first) << when;
      EXPECT_GT(model->store().counters().bytes_read, 0u);
    }
  }

  // Every `step`-th way of which the blocks are so long, beginning with the `first`.
  void hold_some(std::size_t first, std::size_t step, std::size_t block_tokens,
                 Answer answer = Answer::exact) {
    if (!golden_model(GetParam().model))
      OLLM_WITHOUT_TEST_DATA("golden/models/" + GetParam().model);
    // More than the rows of a sweep and the tails of three lines have frames for.
    compute_whole(block_tokens * 6 + block_tokens / 2 + 11, answer);
    std::size_t index = 0;
    for (const Way& way : ways(answer)) {
      if (way.strategy->block_tokens != block_tokens) continue;
      if (index++ % step != first % step) continue;
      if (HasFatalFailure()) return;
      hold(way);
    }
  }

  Ids ids_;
  std::vector<float> whole_;
};

TEST_P(KvOnDiskLaw, LogitsAreThoseWithoutAStoreSampled) {
  const std::size_t sample = std::hash<std::string>()(case_name({GetParam(), 0}));
  hold_some(sample, 47, 128);
}

TEST_P(KvOnDiskLaw, LogitsOfTheQuantizedTierAreThoseOfMemorySampled) {
  const std::size_t sample = std::hash<std::string>()(case_name({GetParam(), 0}));
  hold_some(sample, 24, 128, Answer::quantized);
}

TEST(KvOnDiskLawWays, AreThoseOfEveryExactStrategy) {
  std::map<std::size_t, std::size_t> by_block_tokens;
  for (const Way& way : ways(Answer::exact)) ++by_block_tokens[way.strategy->block_tokens];
  EXPECT_EQ(by_block_tokens, (std::map<std::size_t, std::size_t>{{128, 4 * 24}, {512, 24}}));
}

class KvOnDiskLawOfLongBlocks : public KvOnDiskLaw {};
TEST_P(KvOnDiskLawOfLongBlocks, LogitsAreThoseWithoutAStoreSampled) { hold_some(12, 24, 512); }

class SlowKvOnDiskLaw : public KvOnDiskLaw {};
TEST_P(SlowKvOnDiskLaw, LogitsAreThoseWithoutAStore) { hold_some(0, 1, 128); }
TEST_P(SlowKvOnDiskLaw, LogitsAreThoseWithoutAStoreInLongBlocks) { hold_some(0, 1, 512); }
TEST_P(SlowKvOnDiskLaw, LogitsOfTheQuantizedTierAreThoseOfMemory) {
  hold_some(0, 1, 128, Answer::quantized);
}

INSTANTIATE_TEST_SUITE_P(Models, KvOnDiskLaw, ::testing::ValuesIn(our_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Models, KvOnDiskLawOfLongBlocks,
                         ::testing::Values(Case{"grouped-tied"}, Case{"mistral-window"}),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Models, SlowKvOnDiskLaw, ::testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace ollm::testing
