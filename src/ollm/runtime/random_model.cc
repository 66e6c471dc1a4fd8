// Model folders of real shapes with random weights: what speed and memory are measured on where no
// model can be had. Leaves to others: measuring (cli/bench.cc).
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "ollm/base/json_reader.h"
#include "ollm/bench.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/atomic_replace.h"
#include "ollm/io/file.h"
#include "ollm/io/output_file.h"
#include "ollm/models/families.h"
#include "ollm/models/model_config.h"
#include "ollm/ollm.h"

namespace ollm {
namespace {

// As the config.json of the models that are published under these names; biases, end tokens and
// the like left out.
struct NamedShape {
  std::string_view name;
  std::size_t hidden, intermediate, layers, heads, kv_heads, head_dim;
  bool tied;
};
constexpr NamedShape kShapes[] = {
    {"llama3-1B", 2048, 8192, 16, 32, 8, 64, true},
    {"llama3-3B", 3072, 8192, 28, 24, 8, 128, true},
    {"llama3-8B", 4096, 14336, 32, 32, 8, 128, false},
    {"llama3-70B", 8192, 28672, 80, 64, 8, 128, false},
};

// Files of published models are of this size, more or less.
constexpr std::uint64_t kShardBytes = std::uint64_t{5} << 30;
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
constexpr std::uint64_t kLargestConfigBytes = 1 << 20;

std::string config_of(const NamedShape& shape) {
  const nlohmann::ordered_json config = {{"architectures", {"LlamaForCausalLM"}},
                                         {"model_type", "llama"},
                                         {"hidden_size", shape.hidden},
                                         {"intermediate_size", shape.intermediate},
                                         {"num_hidden_layers", shape.layers},
                                         {"num_attention_heads", shape.heads},
                                         {"num_key_value_heads", shape.kv_heads},
                                         {"head_dim", shape.head_dim},
                                         {"hidden_act", "silu"},
                                         {"max_position_embeddings", 131072},
                                         {"rms_norm_eps", 1e-5},
                                         {"rope_theta", 500000.0},
                                         {"tie_word_embeddings", shape.tied},
                                         {"torch_dtype", "bfloat16"},
                                         {"vocab_size", 128256}};
  return config.dump(2) + "\n";
}

std::uint16_t to_bf16(float value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
}

// Normal values of one deviation, by a table: fast enough to fill a disk.
class Values {
 public:
  explicit Values(std::uint64_t seed) : state_(seed * 2 + 1) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    for (float& value : table_) value = normal(random);
  }

  void scale(float deviation) {
    for (std::size_t i = 0; i < kTable; ++i) scaled_[i] = to_bf16(table_[i] * deviation);
  }

  void fill(std::span<std::uint16_t> out) {
    for (std::uint16_t& value : out) {
      if (left_ == 0) {  // xorshift64*
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        bits_ = state_ * 0x2545F4914F6CDD1DULL;
        left_ = 64 / kTableBits;
      }
      value = scaled_[bits_ % kTable];
      bits_ >>= kTableBits;
      --left_;
    }
  }

 private:
  static constexpr int kTableBits = 12;
  static constexpr std::size_t kTable = std::size_t{1} << kTableBits;
  float table_[kTable];
  std::uint16_t scaled_[kTable];
  std::uint64_t state_;
  std::uint64_t bits_ = 0;
  int left_ = 0;
};

// Every tensor of the composition once, in the order of a published file: by name.
std::vector<checkpoint::NewTensor> tensors_of(const models::Composition& composition) {
  std::map<std::string, checkpoint::NewTensor> by_name;
  for (const weights::MatrixUse& use : composition.tape.matrices)
    by_name[use.tensor] = {use.tensor, DType::bf16, Shape({use.tensor_rows, use.cols})};
  for (const weights::VectorUse& use : composition.tape.vectors)
    by_name[use.tensor] = {use.tensor, DType::bf16, Shape({use.tensor_size})};
  std::vector<checkpoint::NewTensor> out;
  for (auto& [name, tensor] : by_name) out.push_back(std::move(tensor));
  return out;
}

class Maker {
 public:
  Maker(const RandomModelOptions& options, OnProgress on_progress, const CancellationToken& cancel)
      : options_(options), on_progress_(on_progress), cancel_(cancel), values_(options.seed) {}

  Result<void> make() {
    OLLM_TRY(const std::string config, config_text());
    OLLM_TRY(const Json json, parse_json(config, "config.json"));
    const models::Family* family = models::find_family_of_config(json);
    if (family == nullptr) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: random weights are made for families that are built, as their "
                              "tensors follow from their config alone; this is none of them",
                              options_.shape));
    }
    OLLM_TRY(const auto object, checkpoint::ConfigObject::make(json, "config.json"));
    OLLM_TRY(const models::FamilyModel model, family->compose(object));
    const std::vector<checkpoint::NewTensor> tensors = tensors_of(model.composition);
    for (const checkpoint::NewTensor& tensor : tensors)
      total_ += *size_bytes(tensor.dtype, tensor.shape);

    OLLM_TRY_VOID(check_folder(config));
    std::error_code error;
    std::filesystem::create_directories(options_.out, error);
    if (error) {
      return fail(ErrorKind::io,
                  fmt::format("{}: make folder: {}", options_.out.string(), error.message()));
    }
    OLLM_TRY_VOID(io::atomic_replace(options_.out / "config.json", config));
    return write_shards(tensors);
  }

 private:
  // Made once more, a folder is the same; that of another model is not overwritten.
  Result<void> check_folder(const std::string& config) const {
    const auto refuse = [&](std::string_view why) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}: {}; random weights would take the place of its own: give "
                              "another folder",
                              options_.out.native(), why));
    };
    std::error_code none;
    if (std::filesystem::equivalent(std::filesystem::path(options_.shape),
                                    options_.out / "config.json", none))
      return refuse("is the folder of the config.json that was given");
    const Result<std::string> there =
        io::read_whole_file(options_.out / "config.json", kLargestConfigBytes);
    if (there.ok() ? *there == config : there.error().kind == ErrorKind::not_found) return {};
    return refuse("holds another model");
  }

  Result<std::string> config_text() const {
    for (const NamedShape& shape : kShapes)
      if (shape.name == options_.shape) return config_of(shape);
    Result<std::string> text = io::read_whole_file(options_.shape, kLargestConfigBytes);
    if (text.ok() || text.error().kind != ErrorKind::not_found) return text;
    std::string names;
    for (const NamedShape& shape : kShapes) names += fmt::format(" {}", shape.name);
    return fail(ErrorKind::not_found, fmt::format("'{}' is neither a file nor one of the shapes:{}",
                                                  options_.shape, names));
  }

  Result<void> write_shards(const std::vector<checkpoint::NewTensor>& tensors) {
    std::vector<std::vector<checkpoint::NewTensor>> shards(1);
    std::uint64_t in_shard = 0;
    for (const checkpoint::NewTensor& tensor : tensors) {
      const std::uint64_t size = *size_bytes(tensor.dtype, tensor.shape);
      if (in_shard != 0 && in_shard + size > kShardBytes) {
        shards.emplace_back();
        in_shard = 0;
      }
      in_shard += size;
      shards.back().push_back(tensor);
    }
    if (shards.size() == 1) return write_shard("model.safetensors", shards[0]);
    nlohmann::ordered_json index = {{"metadata", {{"total_size", total_}}},
                                    {"weight_map", nlohmann::ordered_json::object()}};
    for (std::size_t i = 0; i < shards.size(); ++i) {
      const std::string name =
          fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
      for (const checkpoint::NewTensor& tensor : shards[i]) index["weight_map"][tensor.name] = name;
      OLLM_TRY_VOID(write_shard(name, shards[i]));
    }
    return io::atomic_replace(options_.out / "model.safetensors.index.json", index.dump(2) + "\n");
  }

  Result<void> write_shard(const std::string& name,
                           const std::vector<checkpoint::NewTensor>& tensors) {
    OLLM_TRY(io::OutputFile file, io::OutputFile::create(options_.out / name));
    OLLM_TRY(const std::string header, checkpoint::make_safetensors_header(tensors));
    OLLM_TRY_VOID(file.write_at(0, std::as_bytes(std::span(header))));
    std::uint64_t offset = header.size();
    for (const checkpoint::NewTensor& tensor : tensors) {
      const std::uint64_t size = *size_bytes(tensor.dtype, tensor.shape);
      if (options_.sparse) {
        offset += size;
        continue;
      }
      OLLM_TRY_VOID(write_tensor(file, tensor, offset, size));
      offset += size;
    }
    if (options_.sparse && !tensors.empty()) {
      const std::byte zero{0};  // the last byte gives the file its length; all before is a hole
      OLLM_TRY_VOID(file.write_at(offset - 1, {&zero, 1}));
    }
    return file.finish();
  }

  // Deviations that keep values near one through the layers, and logits apart.
  Result<void> write_tensor(io::OutputFile& file, const checkpoint::NewTensor& tensor,
                            std::uint64_t offset, std::uint64_t size) {
    std::vector<std::uint16_t> piece(std::min<std::uint64_t>(size, kPieceBytes) / 2);
    const bool vector = tensor.shape.rank() == 1;
    if (vector) {
      std::fill(piece.begin(), piece.end(), to_bf16(1.0F));
    } else {
      values_.scale(1.0F / std::sqrt(static_cast<float>(tensor.shape[1])));
    }
    for (std::uint64_t done = 0; done < size;) {
      OLLM_TRY_VOID(cancel_.check());
      const std::uint64_t count = std::min<std::uint64_t>(piece.size(), (size - done) / 2);
      if (!vector) values_.fill(std::span(piece).first(count));
      OLLM_TRY_VOID(file.write_at(offset + done, std::as_bytes(std::span(piece).first(count))));
      done += count * 2;
      written_ += count * 2;
      if (on_progress_) on_progress_({Stage::write, written_, total_});
    }
    return {};
  }

  const RandomModelOptions& options_;
  OnProgress on_progress_;
  const CancellationToken& cancel_;
  Values values_;
  std::uint64_t total_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace

Result<void> make_random_model(const RandomModelOptions& options, OnProgress on_progress,
                               const CancellationToken* cancel) {
  static const CancellationToken kNever;
  return Maker(options, on_progress, cancel ? *cancel : kNever).make();
}

}  // namespace ollm
