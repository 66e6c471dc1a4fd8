// What of config.json each family reads, and nothing else: for every key that any family reads, and
// for each family, whether another value changes the composition.
#include "ollm/models/families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/models/composition_text.h"

namespace ollm::models {
namespace {

// Every key with a value other than that of config() and of every class's default.
const Json kOthers = Json::parse(R"({
    "vocab_size": 9, "hidden_size": 32, "intermediate_size": 25, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 4,
    "max_position_embeddings": 65, "hidden_act": "relu", "tie_word_embeddings": true,
    "rope_theta": 5000.0, "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "rope_parameters": {"rope_type": "linear", "factor": 2.0},
    "rms_norm_eps": 0.25, "norm_epsilon": 0.25, "layer_norm_eps": 0.25,
    "attention_bias": true, "mlp_bias": true, "use_bias": false,
    "sliding_window": 7, "use_sliding_window": true, "max_window_layers": 1,
    "layer_types": ["sliding_attention", "full_attention"],
    "no_rope_layers": [0, 1], "no_rope_layer_interval": 1,
    "embedding_multiplier": 2.0, "attention_multiplier": 2.0, "residual_multiplier": 2.0,
    "logits_scaling": 2.0, "partial_rotary_factor": 0.5, "rotary_dim": 4,
    "qkv_bias": false, "lm_head_bias": true, "use_qk_norm": true,
    "num_experts": 6, "num_local_experts": 6, "moe_num_experts": 6, "n_routed_experts": 6,
    "num_experts_per_tok": 3, "moe_k": 3, "moe_intermediate_size": 6,
    "shared_expert_intermediate_size": 6, "moe_num_shared_experts": 1, "n_shared_experts": 2,
    "norm_topk_prob": true, "decoder_sparse_step": 2, "mlp_only_layers": [1],
    "first_k_dense_replace": 0, "moe_layer_start_index": 0, "moe_layer_end_index": 0,
    "moe_layer_interval": 3, "moe_norm_min": 0.5, "n_group": 2, "topk_group": 2,
    "routed_scaling_factor": 2.0, "router_jitter_noise": 0.5, "swiglu_alpha": 2.0,
    "swiglu_limit": 3.0, "hidden_activation": "relu", "query_pre_attn_scalar": 9,
    "attn_logit_softcapping": 9.0, "final_logit_softcapping": 9.0, "sliding_window_pattern": 1,
    "rope_local_base_freq": 5000.0, "logit_scale": 0.125, "attention_out_bias": true,
    "use_qkv_bias": true, "use_parallel_residual": true, "qk_layernorm": true, "full_attention_interval": 1, "linear_conv_kernel_dim": 3,
    "linear_num_key_heads": 1, "linear_num_value_heads": 6, "linear_key_head_dim": 6,
    "linear_value_head_dim": 6})");

// Read by all: dimensions, activation, head, rotary.
constexpr std::string_view kByAll[] = {
    "vocab_size",          "hidden_size",         "intermediate_size", "num_hidden_layers",
    "num_attention_heads", "num_key_value_heads", "head_dim",          "max_position_embeddings",
    "hidden_act",          "tie_word_embeddings", "rope_theta",        "rope_scaling",
    "rope_parameters"};

struct Reads {
  const Family* family;
  std::vector<std::string_view> keys;  // beside those
};
const Reads kReads[] = {
    {&kLlama, {"rms_norm_eps", "attention_bias", "mlp_bias"}},
    {&kMistral, {"rms_norm_eps", "sliding_window"}},
    {&kQwen2,
     {"rms_norm_eps", "sliding_window", "use_sliding_window", "max_window_layers", "layer_types"}},
    {&kQwen3,
     {"rms_norm_eps", "attention_bias", "sliding_window", "use_sliding_window", "max_window_layers",
      "layer_types"}},
    {&kPhi3, {"rms_norm_eps", "sliding_window", "partial_rotary_factor"}},
    {&kSmolLm3,
     {"rms_norm_eps", "attention_bias", "mlp_bias", "sliding_window", "use_sliding_window",
      "layer_types", "no_rope_layers", "no_rope_layer_interval"}},
    {&kOlmo2, {"rms_norm_eps", "attention_bias"}},
    {&kGranite,
     {"rms_norm_eps", "attention_bias", "mlp_bias", "embedding_multiplier", "attention_multiplier",
      "residual_multiplier", "logits_scaling"}},
    {&kStarcoder2, {"norm_epsilon", "sliding_window", "use_bias"}},
    {&kGemma, {"rms_norm_eps", "attention_bias"}},
    {&kGemma2,
     {"rms_norm_eps", "attention_bias", "hidden_activation", "query_pre_attn_scalar",
      "attn_logit_softcapping", "final_logit_softcapping", "sliding_window", "layer_types"}},
    {&kGemma3,
     {"rms_norm_eps", "attention_bias", "hidden_activation", "query_pre_attn_scalar",
      "final_logit_softcapping", "sliding_window", "sliding_window_pattern", "layer_types",
      "rope_local_base_freq"}},
    {&kCohere, {"layer_norm_eps", "attention_bias", "logit_scale", "use_qk_norm"}},
    {&kCohere2,
     {"layer_norm_eps", "attention_bias", "logit_scale", "sliding_window", "sliding_window_pattern",
      "layer_types"}},
    {&kExaone4, {"rms_norm_eps", "sliding_window", "sliding_window_pattern", "layer_types"}},
    {&kErnie45, {"rms_norm_eps", "use_bias"}},
    {&kGlm, {"rms_norm_eps", "attention_bias", "partial_rotary_factor"}},
    {&kGlm4, {"rms_norm_eps", "attention_bias", "partial_rotary_factor"}},
    {&kMinistral3, {"rms_norm_eps", "sliding_window", "partial_rotary_factor"}},
    {&kOlmo3, {"rms_norm_eps", "attention_bias", "sliding_window", "layer_types"}},
    {&kSeedOss, {"rms_norm_eps", "attention_bias", "attention_out_bias", "mlp_bias"}},
    {&kStableLm,
     {"layer_norm_eps", "partial_rotary_factor", "use_qkv_bias", "use_parallel_residual",
      "qk_layernorm"}},
    {&kGptOss,
     {"rms_norm_eps", "attention_bias", "sliding_window", "layer_types", "partial_rotary_factor",
      "num_local_experts", "num_experts", "num_experts_per_tok", "swiglu_alpha", "swiglu_limit"}},
    {&kMixtral,
     {"rms_norm_eps", "sliding_window", "num_local_experts", "num_experts", "num_experts_per_tok"}},
    {&kQwen2Moe,
     {"rms_norm_eps", "qkv_bias", "sliding_window", "use_sliding_window", "max_window_layers",
      "layer_types", "num_experts", "num_experts_per_tok", "moe_intermediate_size",
      "shared_expert_intermediate_size", "norm_topk_prob", "decoder_sparse_step",
      "mlp_only_layers"}},
    {&kQwen3Moe,
     {"rms_norm_eps", "attention_bias", "sliding_window", "use_sliding_window", "num_experts",
      "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob",
      "decoder_sparse_step", "mlp_only_layers"}},
    {&kGraniteMoe,
     {"rms_norm_eps", "attention_bias", "embedding_multiplier", "attention_multiplier",
      "residual_multiplier", "logits_scaling", "num_local_experts", "num_experts_per_tok"}},
    {&kPhiMoe,
     {"rms_norm_eps", "attention_bias", "lm_head_bias", "sliding_window", "num_local_experts",
      "router_jitter_noise"}},
    {&kErnie45Moe,
     {"rms_norm_eps", "use_bias", "moe_num_experts", "num_experts", "moe_k", "num_experts_per_tok",
      "moe_intermediate_size", "moe_num_shared_experts", "moe_layer_start_index",
      "moe_layer_end_index", "moe_layer_interval", "moe_norm_min"}},
    {&kGlm4Moe,
     {"rms_norm_eps", "attention_bias", "use_qk_norm", "partial_rotary_factor", "n_routed_experts",
      "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts",
      "norm_topk_prob", "n_group", "topk_group", "routed_scaling_factor", "first_k_dense_replace"}},
    {&kQwen3Next,
     {"rms_norm_eps", "attention_bias", "layer_types", "full_attention_interval",
      "partial_rotary_factor", "linear_conv_kernel_dim", "linear_num_key_heads",
      "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim", "num_experts",
      "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size",
      "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers"}},
    {&kQwen35,
     {"rms_norm_eps", "attention_bias", "layer_types", "full_attention_interval",
      "partial_rotary_factor", "linear_conv_kernel_dim", "linear_num_key_heads",
      "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim"}},
    {&kQwen35Moe,
     {"rms_norm_eps", "attention_bias", "layer_types", "full_attention_interval",
      "partial_rotary_factor", "linear_conv_kernel_dim", "linear_num_key_heads",
      "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim", "num_experts",
      "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size"}},
    {&kMiniMaxM2,
     {"rms_norm_eps", "partial_rotary_factor", "rotary_dim", "num_local_experts", "num_experts",
      "num_experts_per_tok"}},
};

bool has_delta_nets(std::string_view type) {
  return type == "qwen3_next" || type.starts_with("qwen3_5");
}

// A small model in which each of its keys has something to decide.
Json config(const Family& family) {
  Json out = Json::parse(R"({"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
      "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 8,
      "max_position_embeddings": 64, "rope_theta": 10000.0, "tie_word_embeddings": false})");
  out["model_type"] = family.model_type;
  out["architectures"] = {family.architecture};
  const std::string_view type = family.model_type;
  if (has_delta_nets(type)) {
    if (type == "qwen3_5_moe_text") out.erase("intermediate_size");
    out["head_dim"] = 16;  // of which a quarter is turned
    out["full_attention_interval"] = 2;
    out["linear_num_key_heads"] = 2;
    out["linear_num_value_heads"] = 4;
  } else if (type.starts_with("qwen")) {
    out["use_sliding_window"] = true;
    out["sliding_window"] = 4;
  }
  if (type == "qwen2" || type == "qwen3") out["max_window_layers"] = 0;
  if (type == "qwen2_moe") out["max_window_layers"] = 2;
  if (type == "qwen2_moe" || type == "qwen3_moe" || type == "qwen3_next")
    out["decoder_sparse_step"] = 2;
  if (type == "stablelm") out["head_dim"] = 16;  // of which a quarter is turned
  if (type == "ministral3") {
    out["rope_parameters"] = {{"rope_type", "yarn"},
                              {"factor", 2.0},
                              {"original_max_position_embeddings", 16},
                              {"llama_4_scaling_beta", 0.5}};
  }
  if (type == "gpt_oss") {
    out["rope_scaling"] = {
        {"rope_type", "yarn"}, {"factor", 2.0}, {"original_max_position_embeddings", 16}};
  }
  if (type == "smollm3") {
    out["use_sliding_window"] = true;
    out["sliding_window"] = 4;
    out["no_rope_layer_interval"] = 2;
  }
  return out;
}

Result<FamilyModel> compose(const Family& family, const Json& document) {
  OLLM_TRY(const auto object, checkpoint::ConfigObject::make(document, "config.json"));
  return compose_family(family, object);
}

// Of keys whose other value is the default of some types.
Json other_value(const Family& family, const std::string& key) {
  const std::string_view type = family.model_type;
  if (key == "tie_word_embeddings") return true;
  if (key == "attention_bias")
    return type != "gpt_oss" && type != "glm" && type != "glm4" && type != "seed_oss";
  if (key == "rope_parameters" && (type == "gemma3_text" || type == "olmo3"))
    return {{"full_attention", kOthers[key]}};
  if (key == "use_bias") return type.starts_with("ernie4_5");
  if (key == "norm_topk_prob") return type != "glm4_moe" && type != "qwen3_next";
  if (key == "use_sliding_window") return !type.starts_with("qwen") && type != "smollm3";
  if (key == "layer_types" && (type == "gpt_oss" || type == "qwen2_moe" || type == "gemma2"))
    return {"full_attention", "sliding_attention"};
  if (key == "max_window_layers" && type == "qwen2_moe") return 0;
  if (key == "decoder_sparse_step" && type.starts_with("qwen")) return 1;
  if (key == "partial_rotary_factor" && type.starts_with("glm")) return 0.25;
  return kOthers[key];
}

Json changed(const Family& family, const std::string& key) {
  Json out = config(family);
  out[key] = other_value(family, key);
  if (key == "topk_group") out["n_group"] = 4;
  return out;
}

bool reads_as_all_do(const Family& family, std::string_view key) {
  if (&family == &kQwen35Moe && key == "intermediate_size") return false;  // it has experts alone
  if ((&family == &kGemma2 || &family == &kGemma3) && key == "hidden_act")
    return false;  // hidden_activation is theirs
  return std::find(std::begin(kByAll), std::end(kByAll), key) != std::end(kByAll);
}

// As Transformers does it: rope_scaling is put over a "default" that is there.
TEST(Families, WhereLayersHaveTheirOwnRotariesTheOlderNameOfItsTypeCountsForNothing) {
  for (const Family* family : {&kGemma3, &kOlmo3}) {
    SCOPED_TRACE(family->name);
    Json document = config(*family);
    const std::string plain = composition_text(compose(*family, document)->composition);
    document["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
    const auto older = compose(*family, document);
    ASSERT_TRUE(older.ok()) << older.error().message;
    EXPECT_EQ(composition_text(older->composition), plain);
    EXPECT_FALSE(older->config.keys_without_effect.empty());
    document["rope_scaling"]["rope_type"] = "linear";
    EXPECT_NE(composition_text(compose(*family, document)->composition), plain);
  }
}

TEST(Families, WhatCohereLeavesInItsFilesHasNoEffect) {
  Json document = config(kCohere2);
  const std::string plain = composition_text(compose(kCohere2, document)->composition);
  document.update(Json::parse(R"({"layer_switch": 4, "position_embedding_type": "rope_gptj",
      "order_of_interleaved_layers": "local_attn_first", "rotary_pct": 1.0, "use_qk_norm": false,
      "use_embedding_sharing": true, "use_gated_activation": true, "use_parallel_block": true,
      "use_parallel_embedding": true, "cache_implementation": "hybrid"})"));
  const auto published = compose(kCohere2, document);
  ASSERT_TRUE(published.ok()) << published.error().message;
  EXPECT_EQ(composition_text(published->composition), plain);
  EXPECT_TRUE(published->config.unknown_keys.empty()) << published->config.unknown_keys.front();
  document["use_parallel_block"] = false;
  EXPECT_EQ(compose(kCohere2, document)->config.unknown_keys,
            std::vector<std::string>{"use_parallel_block"});
}

TEST(Families, EachReadsItsOwnKeysAndNoOthers) {
  ASSERT_EQ(std::size(kReads), families().size());
  for (const auto& [family, keys] : kReads) {
    const auto plain = compose(*family, config(*family));
    ASSERT_TRUE(plain.ok()) << plain.error().message;
    const std::string text = composition_text(plain->composition);
    for (const auto& [key, value] : kOthers.items()) {
      SCOPED_TRACE(std::string(family->name) + ": " + key);
      const bool reads =
          reads_as_all_do(*family, key) || std::find(keys.begin(), keys.end(), key) != keys.end();
      const auto other = compose(*family, changed(*family, key));
      if (reads) {
        EXPECT_TRUE(!other.ok() || composition_text(other->composition) != text);
        continue;
      }
      ASSERT_TRUE(other.ok()) << other.error().message;
      EXPECT_EQ(composition_text(other->composition), text);
      const auto& told = other->config.keys_without_effect;
      EXPECT_NE(std::find(told.begin(), told.end(), key), told.end());
    }
  }
}

TEST(Families, BookkeepingIsLeftOutOfAccountAndWhatNobodyKnowsIsTold) {
  for (const Family* family : families()) {
    Json document = config(*family);
    const std::string text = composition_text(compose(*family, document)->composition);
    document["torch_dtype"] = "bfloat16";
    document["temperature"] = 0.5;
    document["id2label"] = {{"0", "LABEL_0"}};
    document["attention_secret"] = nullptr;
    auto other = compose(*family, document);
    ASSERT_TRUE(other.ok()) << other.error().message;
    EXPECT_EQ(composition_text(other->composition), text);
    EXPECT_TRUE(other->config.keys_without_effect.empty());
    EXPECT_TRUE(other->config.unknown_keys.empty());
    document["attention_secret"] = 1;
    other = compose(*family, document);
    ASSERT_TRUE(other.ok()) << other.error().message;
    EXPECT_EQ(other->config.unknown_keys, std::vector<std::string>{"attention_secret"});
  }
}

TEST(Families, AWindowIsTheirOwnWhereNoKeySaysIt) {
  Json mistral = config(kMistral);
  EXPECT_EQ(compose(kMistral, mistral)->config.windows, (std::vector<std::size_t>{4096, 4096}));
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(compose(kMistral, mistral)->config.windows, (std::vector<std::size_t>{0, 0}));
  EXPECT_EQ(compose(kPhi3, config(kPhi3))->config.windows, (std::vector<std::size_t>{0, 0}));
  EXPECT_EQ(compose(kSmolLm3, config(kSmolLm3))->config.windows,
            (std::vector<std::size_t>{0, 4}));  // the one that does not rotate
}

TEST(Families, HaveTheirOwnDefaults) {
  Json smollm3 = config(kSmolLm3);
  smollm3.erase("rope_theta");
  smollm3.erase("tie_word_embeddings");
  const auto model = compose(kSmolLm3, smollm3);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model->config.rotary.theta, 2000000);
  EXPECT_TRUE(model->config.tie_word_embeddings);
  for (const auto& [family, eps] :
       {std::pair{&kPhi3, 1e-5}, {&kOlmo2, 1e-5}, {&kLlama, 1e-6}, {&kStarcoder2, 1e-5}})
    EXPECT_EQ(compose(*family, config(*family))->config.norm_eps, eps) << family->name;
  Json qwen3 = config(kQwen3);
  qwen3.erase("head_dim");
  EXPECT_EQ(compose(kQwen3, qwen3)->config.head_dim, 128u);
  Json granite = config(kGranite);
  EXPECT_EQ(compose(kGranite, granite)->config.attention_multiplier, 1.0);
}

Json with_scaling(const Family& family, Json scaling, const char* key = "rope_scaling") {
  Json out = config(family);
  out[key] = std::move(scaling);
  return out;
}

TEST(Families, YarnGoesAsFarAsItsFactor) {
  const Json yarn = {{"type", "yarn"}, {"factor", 4.0}};
  Json document = with_scaling(kQwen2, yarn);
  EXPECT_EQ(compose(kQwen2, document)->composition.max_positions, 256u);
  document["original_max_position_embeddings"] = 32;  // goes before what stands in rope_scaling
  document["rope_scaling"]["original_max_position_embeddings"] = 64;
  const auto model = compose(kQwen2, document);
  EXPECT_EQ(model->config.rotary.original_max_position_embeddings, 32u);
  EXPECT_EQ(model->composition.max_positions, 128u);
}

TEST(Families, LongropeHasOneSetOfFrequenciesForAWholeRun) {
  Json longrope = {{"type", "su"},
                   {"short_factor", {1.0, 1.0, 1.0, 1.0}},
                   {"long_factor", {1.0, 2.0, 3.0, 4.0}}};
  Json document = with_scaling(kPhi3, longrope);
  document["original_max_position_embeddings"] = 16;
  const auto model = compose(kPhi3, document);
  ASSERT_TRUE(model.ok()) << model.error().message;
  Composition near = model->composition;
  Composition far = model->composition;
  EXPECT_EQ(settle_context(near, 16), 16u);
  EXPECT_EQ(settle_context(far, 17), 16u);
  EXPECT_NE(near.rotaries[0].inverse_frequencies, far.rotaries[0].inverse_frequencies);
  EXPECT_EQ(near.rotaries[0].magnitude, far.rotaries[0].magnitude);
  EXPECT_EQ(settle_context(near, 64), std::nullopt);  // chosen already

  document["rope_scaling"]["long_factor"] = {1.0, 2.0};
  const auto short_list = compose(kPhi3, document);
  ASSERT_FALSE(short_list.ok());
  EXPECT_NE(short_list.error().message.find("long_factor"), std::string::npos);
  document["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  EXPECT_FALSE(compose(kPhi3, document).ok());  // Phi-3 has no other scaling
}

TEST(Families, TwoFormsOfRotarySideBySideHaveToSayTheSame) {
  const Json linear = {{"rope_type", "linear"}, {"factor", 2.0}};
  Json document = with_scaling(kLlama, linear);
  document["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 10000.0}};
  EXPECT_TRUE(compose(kLlama, document).ok());
  document["rope_parameters"]["factor"] = 4.0;
  const auto differ = compose(kLlama, document);
  ASSERT_FALSE(differ.ok());
  EXPECT_EQ(differ.error().kind, ErrorKind::unsupported);
  EXPECT_NE(differ.error().message.find("rope_scaling"), std::string::npos);
  document["rope_scaling"] = Json::object();  // says nothing
  EXPECT_TRUE(compose(kLlama, document).ok());
}

TEST(Families, APartThatTurnsIsWithoutEffectOrWhatTransformersCannotRun) {
  Json document = config(kLlama);
  document["partial_rotary_factor"] = 0.5;
  EXPECT_EQ(compose(kLlama, document)->composition.rotaries[0].inverse_frequencies.size(), 4u);
  document["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
  const auto scaled = compose(kLlama, document);
  ASSERT_FALSE(scaled.ok());
  EXPECT_EQ(scaled.error().kind, ErrorKind::unsupported);
  EXPECT_EQ(compose(kPhi3, changed(kPhi3, "partial_rotary_factor"))
                ->composition.rotaries[0]
                .inverse_frequencies.size(),
            2u);
}

}  // namespace
}  // namespace ollm::models
