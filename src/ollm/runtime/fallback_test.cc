// A provider that cannot be applied to what was loaded: the generic backend really runs instead,
// and the plan says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"
#include "ollm/runtime/load_faults.h"
#include "ollm/runtime/shipped_model.h"

namespace ollm::runtime {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

using runtime::plan_of;
Plan plan_of(const Settings& settings) {
  return plan_of(settings, {.prompt_tokens = 4, .max_new_tokens = 8});
}

std::vector<TokenId> answer(const Runtime& runtime) {
  auto session = runtime.new_session();
  EXPECT_TRUE(session.ok());
  auto made =
      session->generate(Prompt::tokens({1, 4, 51, 36}), {.max_new_tokens = 8, .ignore_eos = true});
  EXPECT_TRUE(made.ok()) << made.error().message;
  return made.ok() ? made->ids : std::vector<TokenId>();
}

std::string detail(const RuntimePlan& plan, std::string_view key) {
  const std::string* value = plan.details().find(key);
  return value != nullptr ? *value : "absent";
}

TEST(Applied, SaysWhatWasApplied) {
  const Plan plan = plan_of(settings_of(kShippedModel));
  EXPECT_FALSE(plan.runtime_plan().specialization_applied());
  const auto runtime = Runtime::load(plan);
  ASSERT_TRUE(runtime.ok()) << runtime.error().message;
  const RuntimePlan& applied = runtime->runtime_plan();
  EXPECT_EQ(applied.specialization_state(), SpecializationState::applied);
  EXPECT_TRUE(applied.specialization_applied());
  EXPECT_EQ(applied.applied_specialization_pass_ids(), applied.specialization_pass_ids());
  EXPECT_FALSE(applied.applied_specialization_pass_ids().empty());
  EXPECT_EQ(detail(applied, "planned_pass_count"), detail(applied, "applied_pass_count"));
  EXPECT_EQ(detail(applied, "offload_cpu_applied_layers"), "0");
  EXPECT_EQ(runtime->execution_plan(), plan.execution_plan());
}

struct Case {
  const char* type;
  const char* words;
  LoadFaults faults;
};

TEST(FallbackAtLoad, RunsTheGenericBackendWithTheSameAnswer) {
  const Plan plan = plan_of(settings_of(kShippedModel));
  const auto sound = Runtime::load(plan);
  ASSERT_TRUE(sound.ok());
  const std::vector<Case> cases = {
      {"SpecializationApplicationError",
       "weight-pinning",
       {.withheld = {SpecializationPassId::weight_pinning}, .building = {}}},
      {"SpecializationLoadError",
       "a block that is not there",
       {.withheld = {}, .building = fail(ErrorKind::unsupported, "a block that is not there")}}};
  for (const Case& one : cases) {
    SpecializationFailure told;
    const auto runtime = one.faults.load(plan, &told);
    ASSERT_TRUE(runtime.ok()) << runtime.error().message;
    EXPECT_EQ(runtime->runtime_plan().failure(), told);
    EXPECT_EQ(to_string(told.type), one.type);
    EXPECT_EQ(told.planned_pass_ids, plan.runtime_plan().specialization_pass_ids());
    EXPECT_EQ(told.failed_pass_id, one.faults.withheld.empty()
                                       ? std::nullopt
                                       : std::optional(SpecializationPassId::weight_pinning));
    const RuntimePlan& fallback = runtime->runtime_plan();
    EXPECT_EQ(fallback.specialization_state(), SpecializationState::fallback);
    EXPECT_EQ(fallback.backend_id(), "native-generic");
    EXPECT_EQ(fallback.support_level(), SupportLevel::generic);
    EXPECT_TRUE(fallback.specialization_enabled());
    EXPECT_FALSE(fallback.specialization_applied());
    EXPECT_EQ(fallback.specialization_provider_id(), "llama-native");
    EXPECT_EQ(fallback.specialization_pass_ids(), plan.runtime_plan().specialization_pass_ids());
    EXPECT_TRUE(fallback.applied_specialization_pass_ids().empty());
    EXPECT_THAT(fallback.fallback_reason().value_or(""), HasSubstr(one.words));
    EXPECT_THAT(fallback.reason(), HasSubstr(one.words));
    EXPECT_EQ(detail(fallback, "fallback_from_backend_id"), "optimized-native");
    EXPECT_EQ(detail(fallback, "fallback_error_type"), one.type);
    EXPECT_EQ(detail(fallback, "fallback_provider_id"), "llama-native");
    EXPECT_EQ(detail(fallback, "strategy_selector_applied_kv_cache_strategy"), "paged");
    const Decision first = runtime->execution_plan().decisions.at(0);
    EXPECT_EQ(first.what, "backend");
    EXPECT_EQ(first.chosen, "native-generic");
    // Same weights, same blocks: the answer is the same to the bit.
    EXPECT_EQ(answer(*runtime), answer(*sound));
  }
}

TEST(FallbackAtLoad, IsNotForABackendThatWasAskedFor) {
  Settings settings = settings_of(kShippedModel);
  settings.runtime.backend = "optimized-native";
  LoadFaults faults;
  faults.withheld = {SpecializationPassId::weight_pinning};
  SpecializationFailure told;
  const auto runtime = faults.load(plan_of(settings), &told);
  ASSERT_FALSE(runtime.ok());
  EXPECT_EQ(runtime.error().kind, ErrorKind::unsupported);
  EXPECT_EQ(told.failed_pass_id, SpecializationPassId::weight_pinning);
  EXPECT_EQ(told.reason, "what was loaded does not provide it");
  EXPECT_THAT(runtime.error().message, HasSubstr("weight-pinning"));
  EXPECT_THAT(runtime.error().message, HasSubstr("no fallback: the settings name the backend"));
}

TEST(FallbackAtLoad, IsNotForWhatEveryBackendMeets) {
  const Plan plan = plan_of(settings_of(kShippedModel));
  for (const ErrorKind kind :
       {ErrorKind::io, ErrorKind::corrupt, ErrorKind::out_of_budget, ErrorKind::cancelled}) {
    LoadFaults faults;
    faults.building = fail(kind, "no matter who asks");
    const auto runtime = faults.load(plan);
    ASSERT_FALSE(runtime.ok());
    EXPECT_EQ(runtime.error().kind, kind);
  }
}

TEST(FallbackAtLoad, AGenericPlanHasNone) {
  Settings settings = settings_of(kShippedModel);
  settings.runtime.use_specialization = false;
  LoadFaults faults;
  faults.building = fail(ErrorKind::unsupported, "a block that is not there");
  const auto runtime = faults.load(plan_of(settings));
  ASSERT_FALSE(runtime.ok());
  EXPECT_EQ(runtime.error().kind, ErrorKind::unsupported);
}

// A copy of the shipped model that a test may change.
class Copy {
 public:
  Copy() {
    for (const auto& entry : fs::directory_iterator(kShippedModel))
      if (entry.is_regular_file()) fs::copy(entry.path(), folder_.path() / entry.path().filename());
  }
  fs::path file(const char* name) const { return folder_.path() / name; }
  Plan plan() const { return plan_of(settings_of(folder_.path().string())); }

  /// Rewrites the header of the weights, whose new tensors lie behind the old data.
  void add_tensors(const std::vector<std::pair<std::string, std::vector<std::uint64_t>>>& tensors) {
    std::ifstream in(file("model.safetensors"), std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    std::uint64_t size = 0;
    for (std::size_t i = 8; i-- > 0;) size = size << 8 | static_cast<unsigned char>(all[i]);
    Json header = Json::parse(all.substr(8, size));
    std::string data = all.substr(8 + size);
    std::string dtype;
    for (const auto& [name, tensor] : header.items())
      if (name != "__metadata__") dtype = tensor["dtype"];
    const std::uint64_t width = dtype == "F32" ? 4 : 2;
    for (const auto& [name, shape] : tensors) {
      std::uint64_t bytes = width;
      for (const std::uint64_t one : shape) bytes *= one;
      header[name] = {
          {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes}}};
      data.resize(data.size() + bytes);
    }
    const std::string text = header.dump();
    std::string out;
    for (std::size_t i = 0; i < 8; ++i) out += static_cast<char>((text.size() >> (8 * i)) & 0xFF);
    folder_.write("model.safetensors", out + text + data);
  }

 private:
  io::TemporaryFolder folder_;
};

// A LlamaForCausalLM with norms on q and k, which no Llama has.
TEST(PlannedFallback, RunsFromPlanToAnswer) {
  Copy copy;
  std::ifstream in(copy.file("config.json"));
  const Json config = Json::parse(in);
  const std::uint64_t head = config.contains("head_dim") && !config["head_dim"].is_null()
                                 ? config["head_dim"].get<std::uint64_t>()
                                 : config["hidden_size"].get<std::uint64_t>() /
                                       config["num_attention_heads"].get<std::uint64_t>();
  std::vector<std::pair<std::string, std::vector<std::uint64_t>>> norms;
  for (std::uint64_t layer = 0; layer < config["num_hidden_layers"].get<std::uint64_t>(); ++layer)
    for (const char* name : {"q_norm", "k_norm"})
      norms.push_back(
          {"model.layers." + std::to_string(layer) + ".self_attn." + name + ".weight", {head}});
  copy.add_tensors(norms);
  const Plan plan = copy.plan();
  const RuntimePlan& planned = plan.runtime_plan();
  EXPECT_EQ(planned.specialization_state(), SpecializationState::fallback) << planned.reason();
  EXPECT_EQ(detail(planned, "fallback_error_type"), "SpecializationLoadError");
  EXPECT_THAT(planned.fallback_reason().value_or(""), HasSubstr("q_norm"));
  const auto runtime = Runtime::load(plan);
  ASSERT_TRUE(runtime.ok()) << runtime.error().message;
  EXPECT_EQ(runtime->runtime_plan().specialization_state(), SpecializationState::fallback);
  EXPECT_EQ(runtime->runtime_plan().backend_id(), "native-generic");
  EXPECT_EQ(answer(*runtime).size(), 8u);
}

TEST(ChangedFolder, BetweenPlanAndLoadIsRefused) {
  const std::vector<void (*)(const fs::path&)> changes = {
      [](const fs::path& weights) {  // touched
        fs::last_write_time(weights, fs::last_write_time(weights) + std::chrono::seconds(5));
      },
      [](const fs::path& weights) { fs::resize_file(weights, fs::file_size(weights) - 1); },
      [](const fs::path& weights) {  // another file of the same bytes in its place
        fs::copy(weights, weights.string() + ".new");
        fs::rename(weights.string() + ".new", weights);
      },
      [](const fs::path& weights) { fs::remove(weights); },
      [](const fs::path& weights) {  // the config, which the composition was made from
        const fs::path config = weights.parent_path() / "config.json";
        std::ofstream(config, std::ios::app) << " ";
      }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Copy copy;
    const Plan plan = copy.plan();
    changes[i](copy.file("model.safetensors"));
    const auto runtime = Runtime::load(plan);
    ASSERT_FALSE(runtime.ok()) << "change " << i;
    EXPECT_TRUE(runtime.error().kind == ErrorKind::corrupt ||
                runtime.error().kind == ErrorKind::io ||
                runtime.error().kind == ErrorKind::not_found)
        << runtime.error().message;
  }
}

}  // namespace
}  // namespace ollm::runtime
