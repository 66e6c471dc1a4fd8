// For the tests of engine/: an engine over a composition that is made by hand, of a few small
// layers with random weights. Leaves to others: models as they are published (tests/goldens,
// tests/laws).
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/engine/engine.h"
#include "ollm/engine/whole_sweep.h"
#include "ollm/io/read_queue.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/kv/small_store.h"

namespace ollm::engine {

/// One layer of a tiny composition; all else is the same for all.
struct TinyLayer {
  std::size_t heads = 4;
  std::size_t kv_heads = 2;
  std::size_t head_dim = 16;
  std::optional<std::size_t> value_dim = std::nullopt;
  std::size_t window = 0;
  float soft_cap = 0;
  bool sinks = false;
  float distance_slope = 0;  // of the first head; each further one has half of it
  bool interleaved = false;
  std::optional<std::size_t> kv_of_layer = std::nullopt;
  /// The tensors of its norm, its keys and its values are those of this layer.
  std::optional<std::size_t> weights_of_layer = std::nullopt;
  /// Adds nothing to the residual stream: its outputs are multiplied by zero.
  bool silent = false;
};

/// A composition and the tensors that it names.
class TinyModel {
 public:
  static constexpr std::size_t kVocab = 60;
  static constexpr std::size_t kHidden = 32;

  explicit TinyModel(const std::vector<TinyLayer>& layers) {
    out_.hidden_size = kHidden;
    out_.vocab_size = kVocab;
    out_.max_positions = 1000;
    out_.embedding = matrix("embedding", kVocab, kHidden, weights::Section::embedding);
    models::RotarySpec rotary;
    for (int i = 0; i < 6; ++i)
      rotary.inverse_frequencies.push_back(std::pow(10.0F, -static_cast<float>(i) / 3));
    out_.rotaries.push_back(rotary);
    for (std::size_t i = 0; i < layers.size(); ++i) out_.layers.push_back(layer(i, layers[i]));
    out_.final_norm = norm("final");
    out_.head = linear("head", kVocab, kHidden, weights::Section::head);
  }

  const models::Composition& composition() const { return out_; }

  /// Multiplies a tensor, also by what makes no sense.
  void scale(const std::string& tensor, float factor) {
    for (float& value : values_.at(tensor)) value *= factor;
  }

  /// A model folder of them.
  void write(const io::TemporaryFolder& folder) const {
    std::vector<checkpoint::NewTensor> tensors;
    std::string data;
    for (const auto& [name, values] : values_) {
      tensors.push_back({name, DType::f32, shapes_.at(name)});
      const std::size_t at = data.size();
      data.resize(at + values.size() * sizeof(float));
      std::memcpy(data.data() + at, values.data(), values.size() * sizeof(float));
    }
    Result<std::string> header = checkpoint::make_safetensors_header(tensors);
    OLLM_CHECK(header.ok());
    folder.write("model.safetensors", *header + data);
    folder.write("config.json", "{}");
  }

 private:
  void tensor(const std::string& name, const Shape& shape, std::size_t size, float spread,
              float middle) {
    if (values_.contains(name)) return;
    std::normal_distribution<float> normal(middle, spread);
    std::vector<float>& values = values_[name];
    values.resize(size);
    for (float& value : values) value = normal(random_);
    shapes_.emplace(name, shape);
  }

  weights::MatrixId matrix(const std::string& name, std::size_t rows, std::size_t cols,
                           weights::Section section) {
    tensor(name, Shape({rows, cols}), rows * cols, 1.5F / std::sqrt(static_cast<float>(cols)), 0);
    out_.tape.matrices.push_back({name, 0, rows, cols, rows, section, false});
    return {static_cast<std::uint32_t>(out_.tape.matrices.size() - 1)};
  }

  weights::VectorId vector(const std::string& name, std::size_t size, float middle,
                           std::optional<float> add = std::nullopt) {
    tensor(name, Shape({size}), size, 0.3F, middle);
    out_.tape.vectors.push_back({name, 0, size, size, add});
    return {static_cast<std::uint32_t>(out_.tape.vectors.size() - 1)};
  }

  models::LinearSpec linear(const std::string& name, std::size_t out, std::size_t in,
                            weights::Section section = weights::Section::layers) {
    return {matrix(name, out, in, section), std::nullopt, in, out};
  }

  models::NormSpec norm(const std::string& name) {
    return {models::NormKind::rms, vector(name, kHidden, 1, 0.0F), std::nullopt, 1e-5F};
  }

  models::LayerSpec layer(std::size_t index, const TinyLayer& tiny) {
    const std::string own = fmt::format("{}.", index);
    const std::string read = fmt::format("{}.", tiny.weights_of_layer.value_or(index));
    const std::size_t value_dim = tiny.value_dim.value_or(tiny.head_dim);
    models::LayerSpec spec;
    spec.before_mixer = norm(read + "norm");
    models::AttentionSpec attention;
    attention.heads = tiny.heads;
    attention.kv_heads = tiny.kv_heads;
    attention.head_dim = tiny.head_dim;
    attention.value_dim = tiny.value_dim;
    attention.scale = 1 / std::sqrt(static_cast<float>(tiny.head_dim));
    attention.soft_cap = tiny.soft_cap;
    attention.window = tiny.window;
    attention.rotary = 0;
    attention.interleaved = tiny.interleaved;
    attention.kv_of_layer = tiny.kv_of_layer;
    for (std::size_t h = 0; h < tiny.heads && tiny.distance_slope != 0; ++h)
      attention.distance_slopes.push_back(std::ldexp(tiny.distance_slope, -static_cast<int>(h)));
    if (tiny.sinks) attention.sinks = vector(own + "sinks", tiny.heads, 0);
    attention.q = linear(own + "q", tiny.heads * tiny.head_dim, kHidden);
    if (!tiny.kv_of_layer) {
      attention.k = linear(read + "k", tiny.kv_heads * tiny.head_dim, kHidden);
      attention.v = linear(read + "v", tiny.kv_heads * value_dim, kHidden);
    }
    attention.o = linear(own + "o", kHidden, tiny.heads * value_dim);
    spec.mixer = attention;
    spec.before_feed_forward = norm(own + "norm2");
    models::DenseSpec dense;
    dense.gate = linear(own + "gate", 48, kHidden);
    dense.up = linear(own + "up", 48, kHidden);
    dense.down = linear(own + "down", kHidden, 48);
    spec.feed_forward = dense;
    if (tiny.silent) {
      scale(own + "o", 0);
      scale(own + "down", 0);
    }
    return spec;
  }

  models::Composition out_;
  std::map<std::string, std::vector<float>> values_;
  std::map<std::string, Shape> shapes_;
  std::mt19937 random_{7};
};

struct TinyOptions {
  backend::Isa isa = backend::Isa::scalar;
  backend::ComputeMode compute = backend::ComputeMode::f32;
  std::size_t threads = 1;
  std::size_t max_rows = 200;
  std::size_t max_logit_rows = 200;
  std::size_t kv_tokens = 2048;
  std::size_t kv_block_tokens = 64;
  /// Nothing: resident, or paged where blocks go to disk.
  std::optional<std::string> kv_strategy = std::nullopt;
  /// With it blocks of KV go to disk: those beyond so many frames, and those that are kept.
  std::optional<kv::PoolOptions> kv_pool = std::nullopt;
  std::size_t kv_frames = 1000;
  std::size_t kv_lines = 1;
  bool kv_forgets = false;  // what lies outside the windows of layers
  std::size_t kv_entry_tokens = 64;
  weights::Options weights;
};

/// A loaded TinyModel.
class TinyEngine {
 public:
  TinyEngine(const TinyModel& model, const TinyOptions& options, io::SystemCalls& calls)
      : composition_(model.composition()), pool_(options.threads) {
    model.write(folder_);
    const auto folder = checkpoint::ModelFolder::open(folder_.path(), calls);
    OLLM_CHECK(folder.ok());
    backend_ = take(backend::make_backend({options.isa, options.compute}, pool_));
    tape_ = take(weights::Tape::load(*folder, composition_.tape, options.weights, budget_, pool_,
                                     reads_, nullptr, never_));
    const kv::Options kv =
        kv::options_of({.layers = models::kv_layers(composition_, options.compute),
                        .strategy = options.kv_strategy,
                        .block_tokens = options.kv_block_tokens,
                        .tokens = options.kv_tokens,
                        .lines = options.kv_lines,
                        .sweep_rows = options.max_rows,
                        .forgets = options.kv_forgets,
                        .entry_tokens = options.kv_entry_tokens,
                        .pool = options.kv_pool,
                        .frames = options.kv_frames});
    kv::Store::Disk disk;
    if (options.kv_pool) {
      kv_pool_ = take(kv::Pool::open(*options.kv_pool, calls));
      disk = {kv_pool_.get(), &reads_};
    }
    store_ = take(kv::Store::make(kv, budget_, disk));
    if (options.kv_pool) OLLM_CHECK(store_->set_fingerprint(sha256("tiny")).ok());
    engine_ = take(Engine::make(composition_, *tape_, *backend_,
                                {options.max_rows, options.max_logit_rows}, budget_));
  }
  explicit TinyEngine(const TinyModel& model, const TinyOptions& options = {})
      : TinyEngine(model, options, io::posix()) {}

  Engine& engine() { return *engine_; }
  kv::Store& store() { return *store_; }
  const CancellationToken& never() const { return never_; }

  /// A line with room for so many tokens.
  kv::Line line(std::size_t room) {
    kv::Line made(*store_);
    OLLM_CHECK(made.reserve(room).ok());
    return made;
  }

  /// Logits of all tokens of a line alone, `chunk` tokens a sweep.
  std::vector<float> logits(std::span<const TokenId> ids, std::size_t chunk) {
    kv::Line alone = line(ids.size());
    std::vector<float> out;
    for (std::size_t done = 0; done < ids.size(); done += chunk) {
      const Work work{&alone, ids.subspan(done, std::min(chunk, ids.size() - done)), 0};
      const auto append = [&](std::size_t, std::size_t, std::span<float> row) {
        out.insert(out.end(), row.begin(), row.end());
      };
      OLLM_CHECK(sweep(*engine_, {&work, 1}, append, never_).ok());
    }
    return out;
  }

 private:
  template <typename T>
  static T take(Result<T> made) {
    OLLM_CHECK(made.ok());
    return std::move(made).value();
  }

  const models::Composition composition_;
  const io::TemporaryFolder folder_;
  const CancellationToken never_;
  memory::Budget budget_{std::uint64_t{1} << 30};
  ThreadPool pool_;
  io::ReadQueue reads_{io::ReadMethod::threads};
  std::unique_ptr<backend::Backend> backend_;
  std::unique_ptr<weights::Tape> tape_;
  std::unique_ptr<kv::Pool> kv_pool_;
  std::unique_ptr<kv::Store> store_;
  std::unique_ptr<Engine> engine_;
};

/// `count` token ids of the vocabulary.
inline std::vector<TokenId> random_ids(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<TokenId> any(0, static_cast<TokenId>(TinyModel::kVocab) - 1);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = any(random);
  return ids;
}

/// Equal bits.
inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace ollm::engine
