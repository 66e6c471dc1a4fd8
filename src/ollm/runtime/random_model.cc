// Model folders of real shapes with random weights: what speed and memory are measured on where no
// model can be had. Leaves to others: measuring (cli/bench.cc).
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/json_reader.h"
#include "ollm/bench.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/atomic_replace.h"
#include "ollm/io/file.h"
#include "ollm/io/output_file.h"
#include "ollm/models/families.h"
#include "ollm/models/model_config.h"
#include "ollm/ollm.h"
#include "ollm/runtime/random_shapes.h"

namespace ollm {
namespace {

// Files of published models are of this size, more or less.
constexpr std::uint64_t kShardBytes = std::uint64_t{5} << 30;
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
constexpr std::uint64_t kLargestConfigBytes = 1 << 20;

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

  void fill_bytes(std::span<std::byte> out) {
    for (std::size_t i = 0; i < out.size(); i += sizeof(std::uint64_t)) {
      const std::uint64_t bits = next();
      std::memcpy(out.data() + i, &bits, std::min(sizeof(bits), out.size() - i));
    }
  }

  void fill(std::span<std::uint16_t> out) {
    for (std::uint16_t& value : out) {
      if (left_ == 0) {
        bits_ = next();
        left_ = 64 / kTableBits;
      }
      value = scaled_[bits_ % kTable];
      bits_ >>= kTableBits;
      --left_;
    }
  }

 private:
  std::uint64_t next() {  // xorshift64*
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }

  static constexpr int kTableBits = 12;
  static constexpr std::size_t kTable = std::size_t{1} << kTableBits;
  float table_[kTable];
  std::uint16_t scaled_[kTable];
  std::uint64_t state_;
  std::uint64_t bits_ = 0;
  int left_ = 0;
};

// What a tensor is filled with.
enum class Fill {
  weights,  // normal values, so that products stay near one
  norm,     // ones
  bias,     // small values
  router,   // as weights; its rows larger and smaller where routing is to be skewed
  codes,    // of MXFP4: any
  scales,   // of MXFP4: one power of two
};

struct RandomTensor {
  checkpoint::NewTensor tensor;
  Fill fill = Fill::weights;
};

// The root of the mean square of MXFP4's codes.
constexpr double kCodeDeviation = 2.926;
constexpr double kMxfp4Columns = 32;  // of one scale

// Of the products of a skewed router's last rows, where one's is the first's.
constexpr double kLeastSpread = 0.35;

// Every tensor of the composition once, in the order of a published file: by name.
class TensorList {
 public:
  explicit TensorList(const models::Composition& composition, bool mxfp4) {
    for (const weights::MatrixUse& use : composition.tape.matrices) {
      add(use.tensor, DType::bf16, Shape({use.tensor_rows, use.cols}),
          use.held ? Fill::router : Fill::weights);
    }
    for (const weights::VectorUse& use : composition.tape.vectors) {
      const Result<Shape> shape = weights::shape_of(use);
      OLLM_CHECK(shape.ok());  // the shapes are our own
      const bool norm =
          use.tensor.find("norm") != std::string::npos && !use.tensor.ends_with(".bias");
      const bool ones = norm && use.add != 1.0F;  // else the one is added to what is stored
      const Fill others = use.taps != 0 ? Fill::weights : Fill::bias;
      add(use.tensor, DType::bf16, *shape, ones ? Fill::norm : others);
    }
    for (const weights::ExpertsUse& use : composition.tape.experts)
      for (const weights::ExpertMatrix& matrix : form_of(use, mxfp4).matrices)
        add(use.experts, matrix);
  }

  /// Errors: unsupported where a tensor would have more elements than can be counted.
  Result<std::vector<RandomTensor>> take() {
    if (too_large_)
      return fail(ErrorKind::unsupported, "the experts' tensors would be too large to count");
    std::vector<RandomTensor> out;
    for (auto& [name, tensor] : by_name_) out.push_back(std::move(tensor));
    return out;
  }

 private:
  static const weights::ExpertsForm& form_of(const weights::ExpertsUse& use, bool mxfp4) {
    for (const weights::ExpertsForm& form : use.forms)
      if ((form.matrices.front().format.element == WeightElement::e2m1) == mxfp4) return form;
    return use.form();
  }

  void add(const std::string& name, DType dtype, const Shape& shape, Fill fill) {
    by_name_[name] = {{name, dtype, shape}, fill};
  }

  void add(std::size_t experts, const weights::ExpertMatrix& matrix) {
    const bool stacked = matrix.tensors.size() != experts;
    const auto of_all = [&](std::vector<std::uint64_t> sizes) {
      if (stacked) sizes.insert(sizes.begin(), experts);
      const Result<Shape> shape = Shape::make(sizes);
      too_large_ = too_large_ || !shape.ok();
      return shape.ok() ? *shape : Shape();
    };
    if (matrix.scales.empty()) {
      const bool by_outputs = matrix.format.layout == WeightLayout::out_by_in;
      const Shape shape =
          by_outputs ? of_all({matrix.rows, matrix.cols}) : of_all({matrix.cols, matrix.rows});
      for (const std::string& name : matrix.tensors) add(name, DType::bf16, shape, Fill::weights);
      return;
    }
    const std::size_t blocks = matrix.cols / matrix.format.scale->cols;
    const Shape codes =
        stacked ? of_all({matrix.rows, blocks, 16}) : of_all({matrix.rows, matrix.cols / 2});
    for (const std::string& name : matrix.tensors) add(name, DType::u8, codes, Fill::codes);
    for (const std::string& name : matrix.scales)
      add(name, DType::u8, of_all({matrix.rows, blocks}), Fill::scales);
  }

  std::map<std::string, RandomTensor> by_name_;
  bool too_large_ = false;
};

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
    const bool mxfp4 = json.contains("quantization_config");
    OLLM_TRY(const std::vector<RandomTensor> tensors, TensorList(model.composition, mxfp4).take());
    for (const RandomTensor& random : tensors)
      total_ += *size_bytes(random.tensor.dtype, random.tensor.shape);

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
    std::string text;
    if (std::optional<std::string> named = runtime::config_of_shape(options_.shape)) {
      text = *std::move(named);
    } else {
      Result<std::string> read = io::read_whole_file(options_.shape, kLargestConfigBytes);
      if (!read.ok() && read.error().kind == ErrorKind::not_found) {
        return fail(ErrorKind::not_found,
                    fmt::format("'{}' is neither a file nor one of the shapes:{}", options_.shape,
                                runtime::shape_names()));
      }
      OLLM_TRY(text, std::move(read));
    }
    if (options_.layers == 0) return text;
    return with_layers(text);
  }

  // The config of a model of the first layers alone.
  Result<std::string> with_layers(const std::string& text) const {
    OLLM_TRY(Json config, parse_json(text, options_.shape));
    if (!config.is_object() || !config.contains("num_hidden_layers")) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: no num_hidden_layers that could be another", options_.shape));
    }
    config["num_hidden_layers"] = options_.layers;
    if (auto types = config.find("layer_types"); types != config.end() && types->is_array())
      while (types->size() > options_.layers) types->erase(types->size() - 1);
    return config.dump(2) + "\n";
  }

  Result<void> write_shards(const std::vector<RandomTensor>& tensors) {
    std::vector<std::vector<RandomTensor>> shards(1);
    std::uint64_t in_shard = 0;
    for (const RandomTensor& tensor : tensors) {
      const std::uint64_t size = *size_bytes(tensor.tensor.dtype, tensor.tensor.shape);
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
      for (const RandomTensor& random : shards[i]) index["weight_map"][random.tensor.name] = name;
      OLLM_TRY_VOID(write_shard(name, shards[i]));
    }
    return io::atomic_replace(options_.out / "model.safetensors.index.json", index.dump(2) + "\n");
  }

  Result<void> write_shard(const std::string& name, const std::vector<RandomTensor>& tensors) {
    OLLM_TRY(io::OutputFile file, io::OutputFile::create(options_.out / name));
    std::vector<checkpoint::NewTensor> headers;
    for (const RandomTensor& random : tensors) headers.push_back(random.tensor);
    OLLM_TRY(const std::string header, checkpoint::make_safetensors_header(headers));
    OLLM_TRY_VOID(file.write_at(0, std::as_bytes(std::span(header))));
    std::uint64_t offset = header.size();
    for (const RandomTensor& random : tensors) {
      const std::uint64_t size = *size_bytes(random.tensor.dtype, random.tensor.shape);
      if (!options_.sparse) OLLM_TRY_VOID(write_tensor(file, random, offset, size));
      offset += size;
    }
    if (options_.sparse && !tensors.empty()) {
      const std::byte zero{0};  // the last byte gives the file its length; all before is a hole
      OLLM_TRY_VOID(file.write_at(offset - 1, {&zero, 1}));
    }
    return file.finish();
  }

  Result<void> write_tensor(io::OutputFile& file, const RandomTensor& random, std::uint64_t offset,
                            std::uint64_t size) {
    std::vector<std::byte> piece(std::min<std::uint64_t>(size, kPieceBytes));
    for (std::uint64_t done = 0; done < size; done += piece.size()) {
      OLLM_TRY_VOID(cancel_.check());
      piece.resize(std::min<std::uint64_t>(piece.size(), size - done));
      fill(random, done, piece);
      OLLM_TRY_VOID(file.write_at(offset + done, piece));
      written_ += piece.size();
      if (on_progress_) on_progress_({Stage::write, written_, total_});
    }
    return {};
  }

  // The bytes of a tensor from `at` on. Deviations keep values near one through the layers, and
  // logits apart.
  void fill(const RandomTensor& random, std::uint64_t at, std::span<std::byte> piece) {
    const Shape& shape = random.tensor.shape;
    const auto columns = static_cast<double>(shape[shape.rank() - 1]);
    const std::span<std::uint16_t> values(reinterpret_cast<std::uint16_t*>(piece.data()),
                                          piece.size() / 2);
    switch (random.fill) {
      case Fill::norm:
        std::fill(values.begin(), values.end(), to_bf16(1.0F));
        return;
      case Fill::bias:
        values_.scale(0.02F);
        values_.fill(values);
        return;
      case Fill::weights:
        values_.scale(static_cast<float>(1 / std::sqrt(columns)));
        values_.fill(values);
        return;
      case Fill::router:
        return fill_router(random, at / 2, values);
      case Fill::codes:
        values_.fill_bytes(piece);
        return;
      case Fill::scales: {
        const double scale = 1 / (kCodeDeviation * std::sqrt(columns * kMxfp4Columns));
        std::fill(piece.begin(), piece.end(),
                  static_cast<std::byte>(127 + std::lround(std::log2(scale))));
        return;
      }
    }
  }

  // Rows whose products spread more are chosen more often: that of rank r, in an order of its own
  // for each router, spreads by a constant and by r to the power of -skew.
  void fill_router(const RandomTensor& random, std::uint64_t first, std::span<std::uint16_t> out) {
    const std::size_t experts = random.tensor.shape[0];
    const std::size_t columns = random.tensor.shape[1];
    std::vector<std::size_t> ranks(experts);
    std::iota(ranks.begin(), ranks.end(), std::size_t{1});
    if (first == 0) ++routers_;
    std::mt19937_64 order(options_.seed + routers_);
    for (std::size_t i = experts; i > 1; --i) std::swap(ranks[i - 1], ranks[order() % i]);
    for (std::size_t done = 0; done < out.size();) {
      const std::uint64_t at = first + done;
      const std::size_t count = std::min<std::size_t>(columns - at % columns, out.size() - done);
      const double spread = options_.router_skew == 0
                                ? 1
                                : kLeastSpread + std::pow(static_cast<double>(ranks[at / columns]),
                                                          -options_.router_skew);
      values_.scale(static_cast<float>(spread / std::sqrt(static_cast<double>(columns))));
      values_.fill(out.subspan(done, count));
      done += count;
    }
  }

  const RandomModelOptions& options_;
  OnProgress on_progress_;
  const CancellationToken& cancel_;
  Values values_;
  std::uint64_t total_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t routers_ = 0;  // that were begun
};

}  // namespace

Result<void> make_random_model(const RandomModelOptions& options, OnProgress on_progress,
                               const CancellationToken* cancel) {
  static const CancellationToken kNever;
  return Maker(options, on_progress, cancel ? *cancel : kNever).make();
}

}  // namespace ollm
