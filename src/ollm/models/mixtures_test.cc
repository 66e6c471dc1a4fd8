// Families of mixtures: what they make of configs and tensors of others, and of keys that are out
// of their range. Leaves to others: the logits (tests/goldens/).
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ollm/checkpoint/model_folder.h"
#include "ollm/models/composition_text.h"
#include "ollm/models/families.h"
#include "ollm/models/inventory.h"
#include "tests/test_data.h"

namespace ollm::models {
namespace {

namespace fs = std::filesystem;

Json read(const fs::path& path) {
  std::ifstream in(path);
  return Json::parse(in, nullptr, false);
}

Result<FamilyModel> compose(const Json& document) {
  const Family* family = find_family_of_config(document);
  if (family == nullptr) return fail(ErrorKind::unsupported, "no family");
  OLLM_TRY(const auto object, checkpoint::ConfigObject::make(document, "config.json"));
  object.ignore("quantization_config");
  return compose_family(*family, object);
}

constexpr const char* kGoldens[] = {"gpt-oss",      "gpt-oss-bf16", "gpt-oss-mxfp4", "mixtral",
                                    "qwen2-moe",    "qwen3-moe",    "granite-moe",   "phimoe",
                                    "ernie4.5-moe", "glm4-moe",     "minimax-m2",    "qwen3-next",
                                    "qwen3.5-moe"};

TEST(Mixtures, BindToTheTensorsOfOthersFromBothFormsOfConfig) {
  OLLM_NEED_TEST_DATA(data);
  for (const char* name : kGoldens) {
    SCOPED_TRACE(name);
    const auto folder = checkpoint::ModelFolder::open(data / "golden" / "models" / name);
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    const auto names = TensorNames::make(folder->tensors());
    ASSERT_TRUE(names.ok());
    std::vector<std::string> texts;
    for (const char* file : {"config.json", "config.v5.json"}) {
      SCOPED_TRACE(file);
      auto model = compose(read(data / "golden" / "models" / name / file));
      ASSERT_TRUE(model.ok()) << model.error().message;
      EXPECT_TRUE(model->config.unknown_keys.empty()) << model->config.unknown_keys.front();
      const auto bound = bind_tensors(*names, {.guessing_heads = model->config.guessing_heads},
                                      model->composition);
      EXPECT_TRUE(bound.ok()) << bound.error().message;
      texts.push_back(composition_text(model->composition));
    }
    EXPECT_EQ(texts[0], texts[1]);
  }
}

// What config classes call the same thing.
Json named(const Json& values, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (values.contains(key) && !values[key].is_null()) return values[key];
  return {};
}

void hold_values(const ModelConfig& model, const Json& values) {
  EXPECT_EQ(model.hidden_size, values["hidden_size"]);
  EXPECT_EQ(model.num_hidden_layers, values["num_hidden_layers"]);
  EXPECT_EQ(model.num_attention_heads, values["num_attention_heads"]);
  EXPECT_EQ(model.num_key_value_heads, values["num_key_value_heads"]);
  EXPECT_EQ(model.max_position_embeddings, values["max_position_embeddings"]);
  EXPECT_EQ(model.norm_eps, values["rms_norm_eps"]);
  EXPECT_EQ(model.tie_word_embeddings, values["tie_word_embeddings"]);
  const std::size_t even = model.hidden_size / model.num_attention_heads;
  EXPECT_EQ(model.head_dim,
            values.value("head_dim", Json(nullptr)).is_null() ? Json(even) : values["head_dim"]);
  const Json& rotary = values["rope_parameters"];
  EXPECT_EQ(model.rotary.theta, rotary["rope_theta"]);
  EXPECT_EQ(to_string(model.rotary.type), rotary["rope_type"]);
  EXPECT_EQ(model.rotary.partial_rotary_factor, rotary.value("partial_rotary_factor", 1.0));
  EXPECT_EQ(model.rotary.factor, rotary.value("factor", 1.0));
  EXPECT_EQ(model.rotary.truncate, rotary.value("truncate", true));
  const Json window = values.value("sliding_window", Json());
  EXPECT_EQ(Json(model.windows[0]), window.is_null() ? Json(0) : window);
  EXPECT_EQ(model.qkv_bias, values.value("attention_bias", false));
  EXPECT_EQ(model.lm_head_bias, values.value("lm_head_bias", false));
}

// Types that no key asks.
bool normalises_always(std::string_view type) {
  return type == "mixtral" || type == "minimax_m2" || type == "qwen3_5_moe_text";
}

void hold_mixture(const ModelConfig& model, const Json& values) {
  const MixtureConfig& mixture = *model.mixture;
  EXPECT_EQ(mixture.num_experts,
            named(values, {"num_local_experts", "num_experts", "n_routed_experts"}));
  EXPECT_EQ(mixture.num_experts_per_tok, values["num_experts_per_tok"]);
  EXPECT_EQ(mixture.moe_intermediate_size,
            named(values, {"moe_intermediate_size", "intermediate_size"}));
  EXPECT_EQ(mixture.norm_topk_prob,
            values.value("norm_topk_prob", normalises_always(model.model_type)));
  EXPECT_EQ(mixture.routed_scaling_factor, values.value("routed_scaling_factor", 1.0));
  EXPECT_EQ(mixture.swiglu_limit, values.value("swiglu_limit", 7.0));
  const std::size_t dense = values.value("first_k_dense_replace", std::size_t{0});
  for (std::size_t i = 0; i < mixture.sparse.size(); ++i) EXPECT_EQ(mixture.sparse[i], i >= dense);
}

TEST(Mixtures, HaveTheValuesOfTransformersInPublishedConfigs) {
  OLLM_NEED_TEST_DATA(data);
  std::size_t held = 0;
  for (const auto& entry : fs::directory_iterator(data / "published")) {
    const Json config = read(entry.path() / "config.json");
    const Json effective = read(entry.path() / "effective.json");
    if (!config.is_object() || !effective.is_object()) continue;
    const Family* family = find_family_of_config(config);
    if (family == nullptr) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const auto model = compose(config);
    if (!model.ok() || !model->config.mixture) continue;
    EXPECT_TRUE(model->config.unknown_keys.empty()) << model->config.unknown_keys.front();
    if (effective["to_dict"].is_object()) {
      hold_values(model->config, effective["to_dict"]);
      hold_mixture(model->config, effective["to_dict"]);
    }
    ++held;
  }
  EXPECT_GE(held, 11u);
}

Json small(const char* type) {
  Json out = Json::parse(R"({"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
      "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 8,
      "max_position_embeddings": 64})");
  out["model_type"] = type;
  return out;
}

void expect_refused(const char* type, const char* key, const Json& value) {
  SCOPED_TRACE(std::string(type) + ": " + key + " " + value.dump());
  Json config = small(type);
  config[key] = value;
  const auto model = compose(config);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().message.find("config.json: "), std::string::npos);
}

struct ExpertKey {
  const char* type;
  const char* experts;
};
constexpr ExpertKey kExpertKeys[] = {
    {"gpt_oss", "num_local_experts"},    {"mixtral", "num_local_experts"},
    {"qwen2_moe", "num_experts"},        {"qwen3_moe", "num_experts"},
    {"granitemoe", "num_local_experts"}, {"phimoe", "num_local_experts"},
    {"ernie4_5_moe", "moe_num_experts"}, {"glm4_moe", "n_routed_experts"},
    {"minimax_m2", "num_local_experts"}};

TEST(Mixtures, NumbersOfExpertsOutOfRangeAreRefusedByName) {
  for (const auto& [type, experts] : kExpertKeys) {
    for (const Json& value : {Json(0), Json(-1), Json(1), Json(1'000'000), Json("8"), Json(2.5),
                              Json(std::int64_t{1} << 62)})
      expect_refused(type, experts, value);
    if (std::string(type) == "phimoe") continue;
    expect_refused(type, std::string(type) == "ernie4_5_moe" ? "moe_k" : "num_experts_per_tok",
                   300);
  }
}

TEST(Mixtures, ExpertsOfAllLayersHaveALimit) {
  Json config = small("mixtral");
  config["num_local_experts"] = 16'384;
  config["num_hidden_layers"] = 4;
  EXPECT_TRUE(compose(config).ok());
  config["num_hidden_layers"] = 5;
  const auto model = compose(config);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().message.find("num_local_experts"), std::string::npos);
}

TEST(Mixtures, TwoKeysOfOneThingHaveToSayTheSame) {
  Json config = small("qwen3_moe");
  config["num_experts"] = config["num_local_experts"] = 16;
  EXPECT_EQ(compose(config)->config.mixture->num_experts, 16u);
  config["num_local_experts"] = 32;
  const auto model = compose(config);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().kind, ErrorKind::unsupported);
}

TEST(Mixtures, GroupsHaveToHoldWhatIsChosen) {
  expect_refused("glm4_moe", "n_group", 3);
  expect_refused("glm4_moe", "n_group", 128);
  expect_refused("glm4_moe", "n_group", 32);  // one of them has four experts, and eight are chosen
  expect_refused("glm4_moe", "topk_group", 2);
  expect_refused("minimax_m2", "rotary_dim", 9);
}

TEST(Mixtures, GptOssHasAYarnOfItsOwnWhereNoKeySaysIt) {
  const Json config = small("gpt_oss");
  const auto model = compose(config);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->config.rotary.type, RotaryType::yarn);
  EXPECT_FALSE(model->config.rotary.truncate);
  EXPECT_EQ(model->composition.max_positions, 131072u);
  EXPECT_EQ(model->config.windows, (std::vector<std::size_t>{128, 0}));
}

TEST(Mixtures, PhiMoeHasAMagnitudeForEachLength) {
  Json config = small("phimoe");
  const Json ones = {1.0, 1.0, 1.0, 1.0};
  config["rope_scaling"] = {{"type", "longrope"},  {"short_factor", ones},
                            {"long_factor", ones}, {"short_mscale", 1.25},
                            {"long_mscale", 1.5},  {"original_max_position_embeddings", 16}};
  const auto model = compose(config);
  ASSERT_TRUE(model.ok()) << model.error().message;
  Composition near = model->composition;
  Composition far = model->composition;
  settle_context(near, 16);
  settle_context(far, 17);
  EXPECT_EQ(near.rotaries[0].magnitude, 1.25F);
  EXPECT_EQ(far.rotaries[0].magnitude, 1.5F);
  config["rope_scaling"].erase("long_mscale");
  EXPECT_FALSE(compose(config).ok());
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  EXPECT_FALSE(compose(config).ok());
}

}  // namespace
}  // namespace ollm::models
