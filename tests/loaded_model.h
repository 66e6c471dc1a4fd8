// A model folder, loaded as the runtime loads it but without plan and text: what laws and goldens
// are checked on. Everything that may not change a bit is an option.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/thread_pool.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/engine/engine.h"
#include "ollm/engine/whole_sweep.h"
#include "ollm/kv/line.h"
#include "ollm/models/composition.h"
#include "ollm/weights/tape.h"

namespace ollm::testing {

/// The folder of a model with goldens: ours of that name (tests/fixtures/models), which is always
/// there, else the one in the data of others, else nothing.
std::optional<std::filesystem::path> golden_model(const std::string& name);

/// So many ids of a vocabulary; equal seeds give equal ids.
std::vector<std::int32_t> random_ids(std::size_t count, std::size_t vocab, std::uint32_t seed);

struct LoadOptions {
  backend::Isa isa = backend::Isa::scalar;
  backend::ComputeMode compute = backend::ComputeMode::f32;
  std::size_t threads = 1;
  std::size_t max_rows = 256;
  std::size_t max_logit_rows = 256;
  std::size_t feed_forward_rows = 256;
  std::size_t kv_tokens = 4096;  // over all sequences
  /// That one line may come to hold, where the composition depends on it (longrope).
  std::size_t context_tokens = 4096;
  std::size_t kv_block_tokens = 64;
  /// With it blocks of KV go to disk: those beyond so many frames (the fewest that sweeps of so
  /// many lines need, or more), and those that are kept.
  std::optional<kv::PoolOptions> kv_pool;
  std::string kv_strategy = "resident";
  std::size_t kv_frames = 0;
  std::size_t kv_lines = 1;
  bool kv_forgets = false;  // what lies outside the windows of layers
  weights::Options weights;
  std::string config_file;            // instead of config.json: "config.v5.json"
  bool by_tensors = false;            // composed as a family that nobody knows
  std::optional<std::size_t> layers;  // only the first so many, then the final norm and the head
};

class LoadedModel {
 public:
  static Result<std::unique_ptr<LoadedModel>> load(const std::filesystem::path& folder,
                                                   const LoadOptions& options,
                                                   io::SystemCalls& calls = io::posix());

  engine::Engine& engine() { return *engine_; }
  kv::Store& store() { return *store_; }
  kv::Line new_line() { return kv::Line(*store_); }
  std::size_t vocab_size() const { return composition_.head.out; }
  const models::Composition& composition() const { return composition_; }
  const weights::Tape& tape() const { return *tape_; }

  /// Logits of all tokens, in chunks of `chunk`, one sequence alone.
  Result<std::vector<float>> logits(const std::vector<std::int32_t>& ids, std::size_t chunk);

  /// The next `count` tokens, greedy, end tokens ignored.
  Result<std::vector<std::int32_t>> greedy(const std::vector<std::int32_t>& ids, std::size_t count);

 private:
  Result<void> make_store(const LoadOptions& options, io::SystemCalls& calls);

  models::Composition composition_;
  memory::Budget budget_{std::uint64_t{8} << 30};
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<backend::Backend> backend_;
  std::unique_ptr<io::ReadQueue> reads_;
  std::unique_ptr<weights::Tape> tape_;
  std::unique_ptr<kv::Pool> kv_pool_;
  std::unique_ptr<kv::Store> store_;
  std::unique_ptr<engine::Engine> engine_;
};

/// The largest logit's id; ties go to the lowest.
std::int32_t argmax(std::span<const float> logits);

}  // namespace ollm::testing
