// Configs as they are published, through the command line: every one of a type that is built plans,
// with the values that Transformers makes of it; its tensors are holes of the right shapes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kBuilt[] = {
    "cohere", "exaone4", "gemma", "gemma2", "gemma3_text", "granite", "llama",    "mistral",
    "olmo2",  "olmo3",   "phi3",  "qwen2",  "qwen3",       "smollm3", "stablelm", "starcoder2"};

Json read(const fs::path& path) {
  std::ifstream in(path);
  return Json::parse(in, nullptr, false);
}

std::uint64_t element_bytes(const std::string& dtype) { return dtype == "F32" ? 4 : 2; }

// A file of weights whose data is a hole.
void write_tensors(const Json& inventory, const fs::path& path) {
  Json header;
  std::uint64_t offset = 0;
  for (const Json& row : inventory) {
    for (const std::int64_t layer : row[3]) {
      std::string name = row[0];
      if (const auto at = name.find("{}"); at != std::string::npos)
        name.replace(at, 2, std::to_string(layer));
      std::uint64_t bytes = element_bytes(row[2]);
      for (const std::uint64_t size : row[1]) bytes *= size;
      header[name] = {
          {"dtype", row[2]}, {"shape", row[1]}, {"data_offsets", {offset, offset + bytes}}};
      offset += bytes;
    }
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t size = text.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&size), 8);
  out << text;
  out.close();
  fs::resize_file(path, 8 + size + offset);
}

// What a plan's model says, in the terms of Transformers' config class.
class Expected {
 public:
  explicit Expected(const Json& effective) : values_(effective), type_(effective["model_type"]) {}

  void hold(const Json& model) const {
    for (const char* key :
         {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
          "num_key_value_heads", "vocab_size", "max_position_embeddings", "tie_word_embeddings"})
      EXPECT_EQ(model[key], values_[key]) << key;
    EXPECT_EQ(model["head_dim"], head_dim());
    EXPECT_EQ(model["hidden_act"],
              values_[is_one_of({"gemma2", "gemma3_text"}) ? "hidden_activation" : "hidden_act"]);
    EXPECT_EQ(model["norm_eps"], values_[type_ == "starcoder2"               ? "norm_epsilon"
                                         : is_one_of({"cohere", "stablelm"}) ? "layer_norm_eps"
                                                                             : "rms_norm_eps"]);
    hold_rotary(model["rope_parameters"]);
    EXPECT_EQ(model["layer_windows"], windows());
    EXPECT_EQ(model["layer_rotates"], rotates());
    EXPECT_EQ(model["biases"]["qkv"], type_ == "qwen2" || flag("attention_bias") ||
                                          flag("use_bias") ||
                                          (type_ == "stablelm" && values_["use_qkv_bias"] == true));
    EXPECT_EQ(model["biases"]["mlp"], flag("mlp_bias") || flag("use_bias"));
    for (const char* key : {"residual_multiplier", "logits_scaling"})
      EXPECT_EQ(model[key], type_ == "granite" ? values_[key].get<double>() : 1.0) << key;
    EXPECT_EQ(model["embedding_multiplier"], embedding_multiplier());
    if (is_one_of({"gemma2", "gemma3_text"})) {
      EXPECT_EQ(model["attention_multiplier"],
                1 / std::sqrt(values_["query_pre_attn_scalar"].get<double>()));
    }
    if (type_ != "granite") return;
    EXPECT_EQ(model["attention_multiplier"], values_["attention_multiplier"]);
  }

 private:
  bool is_one_of(std::initializer_list<std::string_view> types) const {
    return std::find(types.begin(), types.end(), type_) != types.end();
  }

  double embedding_multiplier() const {
    if (type_ == "granite") return values_["embedding_multiplier"];
    return is_one_of({"gemma", "gemma2", "gemma3_text"})
               ? std::sqrt(values_["hidden_size"].get<double>())
               : 1.0;
  }

  std::size_t layers() const { return values_["num_hidden_layers"]; }

  Json head_dim() const {
    if (values_.contains("head_dim") && !values_["head_dim"].is_null()) return values_["head_dim"];
    return values_["hidden_size"].get<std::size_t>() /
           values_["num_attention_heads"].get<std::size_t>();
  }

  // Biases that the class of this type has; others stand in files without effect.
  bool flag(const char* key) const {
    const bool reads = std::string(key) == "use_bias" ? type_ == "starcoder2"
                       : std::string(key) == "mlp_bias"
                           ? type_ == "llama" || type_ == "granite" || type_ == "smollm3"
                           : type_ != "phi3" && type_ != "mistral" && type_ != "starcoder2";
    return reads && values_.value(key, false);
  }

  void hold_rotary(const Json& found) const {
    const bool by_type = is_one_of({"gemma3_text", "olmo3"});
    const Json& rotary =
        by_type ? values_["rope_parameters"]["full_attention"] : values_["rope_parameters"];
    for (const auto& [key, value] : rotary.items()) {
      if (key == "type") continue;  // the older name of rope_type
      if (key == "partial_rotary_factor" && !is_one_of({"phi3", "stablelm"})) continue;
      if (key == "original_max_position_embeddings" && rotary["rope_type"] == "default") continue;
      EXPECT_EQ(found.value(key, Json()), value) << key;
    }
  }

  Json windows() const {
    const bool in_all = type_ == "mistral" || type_ == "phi3" || type_ == "starcoder2";
    const bool by_layer =
        is_one_of({"exaone4", "gemma2", "gemma3_text", "olmo3", "qwen2", "qwen3", "smollm3"});
    Json out = Json::array();
    for (std::size_t i = 0; i < layers(); ++i) {
      const bool slides = in_all || (by_layer && values_["layer_types"][i] == "sliding_attention");
      out.push_back(slides ? values_["sliding_window"] : Json(nullptr));
    }
    return out;
  }

  Json rotates() const {
    Json out = Json::array();
    const Json windows_of_layers = windows();
    const bool slide_alone = type_ == "exaone4" && !values_["sliding_window"].is_null();
    for (std::size_t i = 0; i < layers(); ++i) {
      out.push_back(slide_alone ? !windows_of_layers[i].is_null()
                                : type_ != "smollm3" || values_["no_rope_layers"][i] != 0);
    }
    return out;
  }

  const Json& values_;
  const std::string type_;
};

TEST(Published, EveryConfigOfABuiltTypePlansWithTheValuesOfTransformers) {
  const auto data = test_data();
  if (!data) OLLM_WITHOUT_TEST_DATA("published");
  const io::TemporaryFolder folder;
  std::size_t planned = 0;
  for (const auto& entry : fs::directory_iterator(*data / "published")) {
    if (!fs::exists(entry.path() / "tensors.json")) continue;
    const Json config = read(entry.path() / "config.json");
    if (!config.is_object()) continue;  // one has Infinity in it, which is no JSON
    const std::string type = config.value("model_type", "");
    if (std::find(std::begin(kBuilt), std::end(kBuilt), type) == std::end(kBuilt)) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const fs::path model = folder.path() / entry.path().filename();
    fs::create_directory(model);
    fs::copy(entry.path() / "config.json", model / "config.json");
    write_tensors(read(entry.path() / "tensors.json"), model / "model.safetensors");
    const CommandResult run = run_ollm(fmt::format("plan '{}' --json", model.string()));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const Json plan = Json::parse(run.out, nullptr, false);
    ASSERT_FALSE(plan["runtime_plan"]["backend_id"].is_null()) << plan["runtime_plan"]["reason"];
    const Json effective = read(entry.path() / "effective.json");
    ASSERT_TRUE(effective.is_object());
    Expected(effective["to_dict"]).hold(plan["execution_plan"]["model"]);
    ++planned;
  }
  EXPECT_GE(planned, 60u);
}

}  // namespace
}  // namespace ollm::testing
