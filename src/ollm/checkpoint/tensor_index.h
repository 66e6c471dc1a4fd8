// All tensors of a model, whichever files they lie in: by name, and in the order of the files.
// Leaves to others: where the list comes from (model_folder.h) and what the names mean (models/).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/tensor/dtype.h"
#include "ollm/tensor/shape.h"

namespace ollm::checkpoint {

/// One tensor of a model. Its data is packed, row-major, little-endian, at any byte of the file.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint32_t file = 0;          // index into TensorIndex::files()
  std::uint64_t offset_bytes = 0;  // from the first byte of the file
  std::uint64_t size_bytes = 0;    // of dtype and shape; may be 0
};

/// One file of weights, by the identity it had when its header was read.
struct WeightFile {
  std::filesystem::path path;
  io::FileIdentity identity;
};

/// The tensors of a model. Constant once made; any number of threads may read it.
class TensorIndex {
 public:
  /// An index without tensors.
  TensorIndex() = default;

  /// Takes tensors in any order. Tests and planners may make indexes of files that do not exist.
  /// Errors: corrupt where a name stands twice (naming both files) or a size is not that of dtype
  /// and shape; invalid_argument where a file number is not one of `files`.
  static Result<TensorIndex> make(std::vector<TensorInfo> tensors, std::vector<WeightFile> files);

  /// All tensors in the order of their data: by file, then by offset.
  std::span<const TensorInfo> tensors() const { return tensors_; }
  std::span<const WeightFile> files() const { return files_; }

  /// The tensor of that name, or nullptr.
  const TensorInfo* find(std::string_view name) const;

  /// The same where it has to be there.
  /// Errors: not_found, naming the tensor and the most similar name of the model.
  Result<const TensorInfo*> require(std::string_view name) const;

  /// The sum of all tensors' sizes.
  std::uint64_t total_bytes() const { return total_bytes_; }

 private:
  std::vector<TensorInfo> tensors_;
  std::vector<WeightFile> files_;
  std::vector<std::uint32_t> by_name_;  // indexes into tensors_, sorted by name
  std::uint64_t total_bytes_ = 0;
};

}  // namespace ollm::checkpoint
