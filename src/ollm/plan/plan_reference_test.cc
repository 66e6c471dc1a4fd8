// Planning as a whole: how little it reads, what it does on a disk that fails, and what becomes of
// real models of every kind.
#include "ollm/plan/plan_reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/plan/plan_run.h"
#include "ollm/plan/plan_world.h"
#include "ollm/plan/sparse_model.h"
#include "tests/test_data.h"

namespace ollm::plan {
namespace {

using ::testing::HasSubstr;
using Call = io::FaultySystemCalls::Call;

TEST(PlanReference, HoldsTheSettingsItIsGiven) {
  World world;
  world.llama("work/tiny");
  world.config().verbose = world.config().quiet = true;
  EXPECT_EQ(world.plan("./tiny").error().kind, ErrorKind::invalid_argument);
}

TEST(PlanReference, AStrategyThatCannotBeHadIsAnError) {
  World world;
  world.llama("work/tiny");
  world.config().kv_cache_strategy = "cold";
  EXPECT_EQ(world.plan("./tiny").error().kind, ErrorKind::invalid_argument);
}

TEST(PlanReference, TheEffectiveSettingsHaveWhatWasApplied) {
  World world;
  world.llama("work/tiny");
  const auto kept = world.plan("./tiny");
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->effective.kv_cache_strategy, "paged");
  EXPECT_EQ(kept->effective.kv_cache_lifecycle, "persistent");
  world.config().kv_cache_strategy = "resident";
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ(planned->effective.kv_cache_strategy, "resident");
  EXPECT_EQ(planned->effective.kv_cache_lifecycle, "runtime-scoped");
  EXPECT_FALSE(planned->selection.plan.supports_disk_cache);
  EXPECT_EQ(planned->selection.plan.specialization_pass_ids,
            std::vector<SpecializationPassId>{SpecializationPassId::weight_pinning});
}

TEST(PlanReference, ReadsHeadersAlone) {
  World world;
  Json config = tiny_config("llama", "LlamaForCausalLM");
  config["vocab_size"] = 1 << 18;  // 16 MiB of embedding and head
  auto tensors = tiny_tensors();
  tensors.front().shape[0] = tensors.back().shape[0] = 1 << 18;
  for (const bool tied : {false, true}) {
    config["tie_word_embeddings"] = tied;
    world.model("work/tiny", config, tensors);
    io::FaultySystemCalls calls;
    const auto planned = world.plan("./tiny", calls);
    ASSERT_TRUE(planned.ok());
    EXPECT_TRUE(planned->selection.plan.is_executable()) << planned->selection.plan.reason;
    EXPECT_GT(calls.bytes_read(), 0u);
    EXPECT_LT(calls.bytes_read(), 64u << 10);
    EXPECT_EQ(calls.bytes_written(), 0u);
  }
}

RunInputs inputs_of(World& world, std::string_view reference) {
  RunInputs inputs;
  inputs.settings.runtime = world.config();
  inputs.settings.runtime.model_reference = reference;
  inputs.environment = world.environment();
  inputs.machine.total_bytes = inputs.machine.available_bytes = std::uint64_t{24} << 30;
  inputs.machine.isas = {backend::Isa::scalar};
  return inputs;
}

// What is only listed reads neither; what runs instead of a provider has the same head.
TEST(PlanReference, AStoredHeadIsComparedWithItsEmbeddingForARunAlone) {
  World world;
  Json config = tiny_config("llama", "LlamaForCausalLM");
  config["tie_word_embeddings"] = true;
  world.model("work/tiny", config, tiny_tensors());
  std::string weights = safetensors_bytes(tiny_tensors());
  weights.back() = 1;  // of the last row of the head
  world.write("work/tiny/model.safetensors", weights);

  const auto listed = world.plan("./tiny");
  ASSERT_TRUE(listed.ok()) << listed.error().message;
  EXPECT_TRUE(listed->selection.config->tie_word_embeddings);
  EXPECT_EQ(listed->selection.composition->stored_head, "lm_head.weight");

  const auto run = plan_run(inputs_of(world, "./tiny"));
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_FALSE(run->execution->model.tie_word_embeddings);
  EXPECT_EQ(run->composition()->stored_head, "");
  const auto fallback = plan_fallback(
      *run, load_failure(run->runtime(), fail(ErrorKind::unsupported, "it is made up")));
  ASSERT_TRUE(fallback.ok()) << fallback.error().message;
  EXPECT_FALSE(fallback->execution.model.tie_word_embeddings);
  for (const LoadPlan& plan : {*run->execution, fallback->execution}) {
    EXPECT_TRUE(std::any_of(plan.decisions.begin(), plan.decisions.end(), [](const auto& decision) {
      return decision.what == "head" && decision.chosen == "stored" &&
             decision.because.ends_with("in row 15: what is stored is used");
    }));
  }
}

TEST(PlanReference, OfA70BModelInShardsReadsHeadersAlone) {
  World world;
  const std::uint64_t headers = write_sparse_llama(world.root() / "work/large", SparseShape{});
  const RunInputs inputs = inputs_of(world, "./large");
  io::FaultySystemCalls calls;
  {
    const auto planned = plan_run(inputs, calls);
    ASSERT_TRUE(planned.ok()) << planned.error().message;
    ASSERT_TRUE(planned->runtime().is_executable()) << planned->runtime().reason;
    ASSERT_TRUE(planned->execution.has_value());
    EXPECT_EQ(planned->folder()->tensors().tensors().size(), 3u + 80 * 9);
  }
  EXPECT_GE(calls.bytes_read(), headers);
  EXPECT_LT(calls.bytes_read(), headers + (1u << 20));
  EXPECT_EQ(calls.open_files(), 0u);
}

// Weights are planned to be read past the page cache where one was, not where a file was opened so.
TEST(PlanReference, AFileSystemThatRefusesDirectReadsAfterTheOpenIsReadBuffered) {
  World world;
  write_sparse_llama(world.root() / "work/large", SparseShape{});
  RunInputs inputs = inputs_of(world, "./large");
  inputs.machine.io_uring = true;
  io::FaultySystemCalls calls;
  if (const auto direct = plan_run(inputs, calls); !direct.ok() || !direct->inputs.storage.direct)
    GTEST_SKIP() << "skipped: the file system of the temporary folder has no direct access";
  calls.refuse_direct_reads();
  const auto planned = plan_run(inputs, calls);
  ASSERT_TRUE(planned.ok()) << planned.error().message;
  EXPECT_EQ(planned->execution->weights.access, io::Access::buffered);
  EXPECT_EQ(planned->execution->weights.read_method, io::ReadMethod::threads);
}

TEST(PlanReference, ADiskThatFailsAtAnyCallGivesAPlanOrAnError) {
  World world;
  const std::string commit = "0123456789abcdef0123456789abcdef01234567";
  world.snapshot("models--org--name", "main", commit, [&](const auto& dir) { world.llama(dir); });
  for (const Call call :
       {Call::open, Call::pread, Call::fstat, Call::stat, Call::lstat, Call::realpath}) {
    for (std::uint64_t k = 0;; ++k) {
      io::FaultySystemCalls calls;
      calls.fail(call, k, EIO, io::FaultySystemCalls::Repeat::sticky);
      {
        const auto planned = world.plan("org/name", calls);
        ASSERT_TRUE(planned.ok()) << planned.error().message;
        const Selection& selection = planned->selection;
        EXPECT_EQ(selection.plan.is_executable(), !selection.refusal.has_value());
      }
      EXPECT_EQ(calls.open_files(), 0u);
      if (calls.count(call) <= k) break;
      ASSERT_LT(k, 1000u);
    }
  }
}

TEST(PlanReference, ACacheThatCannotBeReadIsAnIoError) {
  World world;
  world.write("hub/models--org--name/refs/main", "0123456789abcdef0123456789abcdef01234567");
  io::FaultySystemCalls calls;
  calls.restrict_to("refs/main");
  calls.fail(Call::pread, 0, EIO, io::FaultySystemCalls::Repeat::sticky);
  const auto planned = world.plan("org/name", calls);
  ASSERT_TRUE(planned.ok());
  ASSERT_TRUE(planned->selection.refusal.has_value());
  EXPECT_EQ(planned->selection.refusal->kind, ErrorKind::io);
}

// What becomes of a model of another implementation; `why` is a part of the reason of those that
// cannot run.
struct GoldenModel {
  const char* name;
  const char* backend;   // nullptr: none
  const char* provider;  // nullptr: none
  const char* why;
};

const GoldenModel kGoldenModels[] = {
    {"llama", "optimized-native", "llama-native", ""},
    {"llama-bf16", "optimized-native", "llama-native", ""},
    {"llama-bias-mha", "optimized-native", "llama-native", ""},
    {"llama-f16", "optimized-native", "llama-native", ""},
    {"llama-linear-rope", "optimized-native", "llama-native", ""},
    {"llama-shards", "optimized-native", "llama-native", ""},
    {"llama-yarn", "optimized-native", "llama-native", ""},
    {"llama3-rope", "optimized-native", "llama-native", ""},
    {"qwen2", "native-generic", nullptr, ""},
    {"qwen3", "native-generic", nullptr, ""},
    {"qwen3-bf16", "native-generic", nullptr, ""},
    {"phi3", "native-generic", nullptr, ""},
    {"mistral", "native-generic", nullptr, ""},
    {"smollm3", "native-generic", nullptr, ""},
    {"olmo2", "native-generic", nullptr, ""},
    {"granite", "native-generic", nullptr, ""},
    {"starcoder2", "native-generic", nullptr, ""},
    {"gemma", "native-generic", nullptr, ""},
    {"gemma2", "native-generic", nullptr, ""},
    {"gemma3-text", "optimized-native", "gemma3-native", ""},
    {"gemma3-text-bf16", "optimized-native", "gemma3-native", ""},
    {"cohere", "native-generic", nullptr, ""},
    {"cohere2", "native-generic", nullptr, ""},
    {"exaone4", "native-generic", nullptr, ""},
    {"glm4", "native-generic", nullptr, ""},
    {"ministral3", "native-generic", nullptr, ""},
    {"olmo3", "native-generic", nullptr, ""},
    {"seed-oss", "native-generic", nullptr, ""},
    {"stablelm", "native-generic", nullptr, ""},
    {"gpt-oss", "optimized-native", "gpt-oss-native", ""},
    {"gpt-oss-bf16", "optimized-native", "gpt-oss-native", ""},
    {"gpt-oss-mxfp4", "optimized-native", "gpt-oss-native", ""},
    {"qwen3-next", "optimized-native", "qwen3-next-native", ""},
    {"qwen3-next-bf16", "optimized-native", "qwen3-next-native", ""},
    {"qwen3.5", "native-generic", nullptr, ""},
    {"qwen3.5-moe", "native-generic", nullptr, ""},
    {"qwen2-moe", "native-generic", nullptr, ""},
    {"qwen3-moe", "native-generic", nullptr, ""},
    {"mixtral", "native-generic", nullptr, ""},
    {"granite-moe", "native-generic", nullptr, ""},
    {"phimoe", "native-generic", nullptr, ""},
    {"ernie4.5-moe", "native-generic", nullptr, ""},
    {"glm4-moe", "native-generic", nullptr, ""},
    {"minimax-m2", "native-generic", nullptr, ""},
    {"qwen3-moe-fp8", nullptr, nullptr, "other than MXFP4 are not built"},
    {"deepseek-v3", nullptr, nullptr, ""},
    {"gpt2", nullptr, nullptr, "architecture GPT2LMHeadModel is not executable"},
    {"t5", nullptr, nullptr, "composes a causal-lm alone"},
};

class GoldenModels : public ::testing::TestWithParam<GoldenModel> {
 protected:
  void expect_plan(World& world) {
    const auto planned = world.plan("./model");
    ASSERT_TRUE(planned.ok()) << planned.error().message;
    const PlanDraft& plan = planned->selection.plan;
    const GoldenModel& expected = GetParam();
    EXPECT_EQ(plan.backend_id.value_or("none"), expected.backend ? expected.backend : "none")
        << plan.reason;
    EXPECT_EQ(plan.specialization_provider_id.value_or("none"),
              expected.provider ? expected.provider : "none");
    EXPECT_EQ(plan.is_executable(), plan.support_level != SupportLevel::unsupported);
    EXPECT_THAT(plan.reason, HasSubstr(expected.why));
    RecordProperty("reason", plan.reason);
  }
};

TEST_P(GoldenModels, PlanAsTheirFamilyOrTheirStructure) {
  OLLM_NEED_TEST_DATA(data);
  World world;
  std::filesystem::copy(data / "golden/models" / GetParam().name, world.root() / "work/model");
  expect_plan(world);
}

TEST_P(GoldenModels, PlanAlikeInTheNewFormOfTheirConfig) {
  OLLM_NEED_TEST_DATA(data);
  World world;
  const std::filesystem::path dir = world.root() / "work/model";
  std::filesystem::copy(data / "golden/models" / GetParam().name, dir);
  std::filesystem::rename(dir / "config.v5.json", dir / "config.json");
  expect_plan(world);
}

std::string model_name(const ::testing::TestParamInfo<GoldenModel>& model) {
  std::string name = model.param.name;
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModels, ::testing::ValuesIn(kGoldenModels), model_name);

}  // namespace
}  // namespace ollm::plan
