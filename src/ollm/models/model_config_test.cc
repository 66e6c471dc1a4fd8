// Constants of config.json that no arithmetic in f32 can use are refused by their key.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ollm/models/families.h"

namespace ollm::models {
namespace {

Json config() {
  return Json::parse(R"({"architectures":["GraniteForCausalLM"],"model_type":"granite",
      "hidden_size":16,"intermediate_size":24,"num_hidden_layers":1,"num_attention_heads":2,
      "vocab_size":8,"max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":10000.0})");
}

Json rotary(std::string_view type, std::string_view key, double value) {
  Json scaling = {{"rope_type", type},
                  {"factor", 4.0},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", 16}};
  scaling[std::string(key)] = value;
  Json all = config();
  all["rope_parameters"] = scaling;
  return all;
}

Result<FamilyModel> parse(const Json& document) {
  OLLM_TRY(const auto object, checkpoint::ConfigObject::make(document, "config.json"));
  return compose_family(*find_family_of_config(document), object);
}

void expect_refused(const Json& document, std::string_view key) {
  SCOPED_TRACE(document.dump());
  const auto parsed = parse(document);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().kind, ErrorKind::corrupt);
  EXPECT_NE(parsed.error().message.find(key), std::string::npos) << parsed.error().message;
}

TEST(ModelConfig, RefusesConstantsThatAreNothingInF32) {
  ASSERT_TRUE(parse(config()).ok());
  for (const char* key : {"embedding_multiplier", "attention_multiplier", "residual_multiplier",
                          "logits_scaling", "rope_theta"}) {
    for (const double value : {0.0, -1.0, 1e-300, 1e-46, 1e300}) {
      Json all = config();
      all[key] = value;
      expect_refused(all, key);
    }
  }
  for (const double value : {-1e-6, 1e300, 1.5}) {
    Json all = config();
    all["rms_norm_eps"] = value;
    expect_refused(all, "rms_norm_eps");
  }
}

TEST(ModelConfig, RefusesRotaryConstantsThatAreNothingInF32) {
  for (const double value : {0.0, -8.0, 1e-300, 1e300}) {
    for (const char* type : {"linear", "llama3", "yarn"})
      expect_refused(rotary(type, "factor", value), "factor");
    for (const char* key : {"low_freq_factor", "high_freq_factor"})
      expect_refused(rotary("llama3", key, value), key);
    for (const char* key : {"beta_fast", "beta_slow", "attention_factor"})
      if (value != 0 || std::string_view(key) == "attention_factor")  // 0 turns: the default's
        expect_refused(rotary("yarn", key, value), key);
  }
  EXPECT_TRUE(parse(rotary("linear", "rope_theta", 1)).ok());
  expect_refused(rotary("yarn", "rope_theta", 1), "rope_theta");  // the pairs would divide by 0
}

// Transformers obeys these two for every type.
TEST(ModelConfig, RefusesWhatNoTypeIgnores) {
  for (const Json& value : {Json(false), Json(nullptr), Json(0)}) {
    Json all = config();
    all["is_causal"] = value;
    const auto parsed = parse(all);
    ASSERT_FALSE(parsed.ok()) << value;
    EXPECT_NE(parsed.error().message.find("is_causal"), std::string::npos);
  }
  Json all = config();
  all["is_causal"] = true;
  all["per_layer_config"] = Json::object();
  EXPECT_TRUE(parse(all).ok());
  all["per_layer_config"] = {{"0", {{"attention_multiplier", 0.5}}}};
  const auto parsed = parse(all);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().kind, ErrorKind::unsupported);
  EXPECT_NE(parsed.error().message.find("per_layer_config"), std::string::npos);
}

TEST(ModelConfig, ANullTruncateOfYarnIsFalse) {
  Json all = rotary("yarn", "factor", 4);
  EXPECT_TRUE(parse(all)->config.rotary.truncate);
  all["rope_parameters"]["truncate"] = nullptr;
  EXPECT_FALSE(parse(all)->config.rotary.truncate);
}

// Its class has a length of its own, which goes before what stands in rope_scaling.
TEST(ModelConfig, Phi3HasAnOriginalLengthWithoutTheKey) {
  Json all = rotary("longrope", "factor", 4);
  all["model_type"] = "phi3";
  all["rope_parameters"]["short_factor"] = {1.0, 1.0, 1.0, 1.0};
  all["rope_parameters"]["long_factor"] = {2.0, 2.0, 2.0, 2.0};
  EXPECT_EQ(parse(all)->config.rotary.original_max_position_embeddings, 4096U);
  all["original_max_position_embeddings"] = 32;
  EXPECT_EQ(parse(all)->config.rotary.original_max_position_embeddings, 32U);
}

}  // namespace
}  // namespace ollm::models
