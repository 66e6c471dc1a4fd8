// For tests: the shipped model, as if its layers saw no more than the last tokens.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ollm::runtime {

/// Makes `folder` of it, for contexts of up to 8192 tokens.
inline void write_windowed_model(const std::filesystem::path& folder, std::size_t window) {
  std::filesystem::copy("examples/models/clerk", folder);
  std::ifstream in(folder / "config.json");
  nlohmann::json config = nlohmann::json::parse(in);
  config["model_type"] = "mistral";
  config["architectures"] = {"MistralForCausalLM"};
  config["sliding_window"] = window;
  config["max_position_embeddings"] = 8192;
  std::ofstream(folder / "config.json") << config;
}

}  // namespace ollm::runtime
