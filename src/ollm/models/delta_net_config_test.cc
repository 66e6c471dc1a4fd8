// Configs of delta nets, and of queries that grow, that cannot be: refused by the key, before
// anything is sized by them.
#include "ollm/models/delta_net_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using ::testing::HasSubstr;

Json fixture(const std::string& name) {
  std::ifstream in("tests/fixtures/models/" + name + "/config.json");
  return Json::parse(in);
}

Result<FamilyModel> compose(const Json& document) {
  OLLM_TRY(const auto object, checkpoint::ConfigObject::make(document, "config.json"));
  return compose_family(*find_family_of_config(document), object);
}

struct Lie {
  std::string key;
  Json value;
  std::string named;  // in the error, beside the key
};

void expect_refused(const Json& config, const Lie& lie) {
  SCOPED_TRACE(lie.key + ": " + lie.value.dump());
  Json changed = config;
  changed[lie.key] = lie.value;
  const auto made = compose(changed);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr(lie.key));
  EXPECT_THAT(made.error().message, HasSubstr(lie.named));
}

TEST(DeltaNetConfig, WhatCannotBeIsRefusedByItsKey) {
  const Json config = fixture("qwen3-next-dense-layer");
  ASSERT_TRUE(compose(config).ok());
  const Lie lies[] = {
      {"linear_conv_kernel_dim", 0, "0"},
      {"linear_conv_kernel_dim", 17, "16"},
      {"linear_conv_kernel_dim", "4", "text"},
      {"linear_num_key_heads", 0, "0"},
      {"linear_num_key_heads", -1, "-1"},
      {"linear_num_value_heads", 5, "multiple of linear_num_key_heads 2"},
      {"linear_num_value_heads", 1'000'000, "1000000"},
      {"linear_key_head_dim", 1025, "1024"},
      {"linear_value_head_dim", 9223372036854775807, ""},
      {"full_attention_interval", 0, "0"},
      {"layer_types", {"linear_attention"}, "expected 4 entries"},
      {"layer_types",
       {"linear_attention", "mamba", "linear_attention", "full_attention"},
       "layer 1 is of type 'mamba'"},
  };
  for (const Lie& lie : lies) expect_refused(config, lie);
  Json large = config;
  large["linear_key_head_dim"] = large["linear_value_head_dim"] = 1024;
  expect_refused(large, {"linear_num_value_heads", 512, "at most 268435456 elements"});
}

TEST(DeltaNetConfig, LayersAreThoseThatTheListOrTheIntervalSays) {
  Json config = fixture("qwen3-next-dense-layer");
  const auto layers = [&] { return compose(config)->config.delta_nets->layers; };
  EXPECT_EQ(layers(), (std::vector<bool>{true, false, true, false}));
  config["full_attention_interval"] = 3;
  EXPECT_EQ(layers(), (std::vector<bool>{true, true, false, true}));
  config["layer_types"] = {"full_attention", "linear_attention", "linear_attention",
                           "full_attention"};
  EXPECT_EQ(layers(), (std::vector<bool>{false, true, true, false}));
  config["layer_types"] = nullptr;
  config.erase("full_attention_interval");
  EXPECT_EQ(layers(), (std::vector<bool>{true, true, true, false}));
}

TEST(QueryGrowth, AnOriginalLengthOfNothingIsRefused) {
  Json config = fixture("ministral3-queries-grow");
  ASSERT_TRUE(compose(config).ok());
  config["max_position_embeddings"] = 1'000'000;
  Json rotary = config["rope_parameters"];
  rotary["original_max_position_embeddings"] = 100;
  expect_refused(config, {"rope_parameters", rotary, "a 4096th of the 1000000 positions"});
  rotary["original_max_position_embeddings"] = 1000;
  rotary.erase("llama_4_scaling_beta");
  expect_refused(config, {"rope_parameters", rotary, "llama_4_scaling_beta"});
}

TEST(QueryGrowth, IsThatOfThePublishedModelsWhereNoKeySaysIt) {
  Json config = fixture("ministral3-queries-grow");
  config.erase("rope_parameters");
  config["max_position_embeddings"] = 262144;
  const auto made = compose(config);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->config.rotary.type, RotaryType::yarn);
  EXPECT_EQ(made->config.query_growth->original_max_position_embeddings, 16384u);
  EXPECT_EQ(made->config.query_growth->llama_4_scaling_beta, 0.1);
}

TEST(QueryGrowth, IsAStepFunctionOfThePosition) {
  const auto growth =
      query_growth({.llama_4_scaling_beta = 0.5, .original_max_position_embeddings = 16}, 40);
  EXPECT_EQ(growth.step, 16u);
  ASSERT_EQ(growth.factors.size(), 3u);
  EXPECT_FLOAT_EQ(growth.factors[0], 1);
  EXPECT_FLOAT_EQ(growth.factors[1], 1.3465736F);
  EXPECT_FLOAT_EQ(growth.factors[2], 1.5493062F);
}

}  // namespace
}  // namespace ollm::models
