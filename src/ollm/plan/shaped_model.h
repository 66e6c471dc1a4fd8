// For the tests of this folder: Llamas of any size whose files do not exist, and plans for them.
// Leaves to others: what is planned.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ollm/base/json_reader.h"
#include "ollm/machine/machine.h"
#include "ollm/models/families.h"
#include "ollm/models/model_config.h"
#include "ollm/plan/choose.h"

namespace ollm::plan {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

struct Shape {
  std::size_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab;
  bool tied;
};
inline constexpr Shape kTiny{64, 128, 3, 4, 2, 16, 512, true};
inline constexpr Shape k1B{2048, 8192, 16, 32, 8, 64, 128256, true};
inline constexpr Shape k8B{4096, 14336, 32, 32, 8, 128, 128256, false};
inline constexpr Shape k70B{8192, 28672, 80, 64, 8, 128, 128256, false};

/// Two cores that any memory goes with; the sizes of its only table alone are asked of it.
inline machine::Machine plain_machine() {
  machine::Machine machine;
  machine.cores = 2;
  machine.total_bytes = machine.available_bytes = 512 * kGiB;
  machine.isas = {backend::Isa::scalar};
  machine.io_uring = true;
  return machine;
}

/// The same with the rates of a fast processor, and of the disk of device 7.
inline machine::Machine fast_machine() {
  machine::Machine fast = plain_machine();
  machine::Profile profile;
  profile.threads = 2;
  profile.memory_bytes_per_second = 40e9;
  profile.tables.push_back({backend::Isa::scalar,
                            backend::ComputeMode::bf16,
                            900e9,
                            {{1, 38e9}, {64, 500e9}, {512, 700e9}},
                            38e9,
                            300e9});
  profile.disks.push_back({7, "model.safetensors", 2e9});
  fast.profile = profile;
  return fast;
}

struct Model {
  explicit Model(const Shape& shape) {
    const auto json =
        parse_json(fmt::format(R"({{"architectures":["LlamaForCausalLM"],"model_type":"llama",
        "hidden_size":{},"intermediate_size":{},"num_hidden_layers":{},"num_attention_heads":{},
        "num_key_value_heads":{},"head_dim":{},"vocab_size":{},"tie_word_embeddings":{},
        "hidden_act":"silu","max_position_embeddings":131072,"rms_norm_eps":1e-5,
        "rope_theta":10000.0}})",
                               shape.hidden, shape.intermediate, shape.layers, shape.heads,
                               shape.kv_heads, shape.head_dim, shape.vocab, shape.tied),
                   "config.json");
    const auto config = checkpoint::ConfigObject::make(*json, "config.json");
    composition = models::kLlama.compose(*config)->composition;
    std::map<std::string, ollm::Shape> by_name;
    for (const weights::MatrixUse& use : composition.tape.matrices)
      by_name.emplace(use.tensor, ollm::Shape({use.tensor_rows, use.cols}));
    for (const weights::VectorUse& use : composition.tape.vectors)
      by_name.emplace(use.tensor, ollm::Shape({use.tensor_size}));
    std::vector<checkpoint::TensorInfo> infos;
    std::uint64_t offset = 5000;  // at no border of anything
    for (const auto& [name, size] : by_name) {
      infos.push_back({name, DType::bf16, size, 0, offset, *size_bytes(DType::bf16, size)});
      offset += infos.back().size_bytes;
    }
    tensors = *checkpoint::TensorIndex::make(std::move(infos), {{"model.safetensors", {}}});
  }

  /// On a machine of two cores and any memory, with the cache's file system as given.
  Result<LoadPlan> plan(std::uint64_t budget, const Workload& workload, Wishes wishes = {},
                        const CacheStorage& cache = {},
                        const machine::Machine& machine = plain_machine()) const {
    Storage storage;
    storage.device = 7;
    storage.direct = true;
    storage.cache = cache;
    wishes.memory_bytes = budget;
    return choose(composition, tensors, {}, storage, machine, wishes, workload);
  }

  models::Composition composition;
  checkpoint::TensorIndex tensors;
};

}  // namespace ollm::plan
