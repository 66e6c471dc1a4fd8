#include "ollm/weights/tape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm::weights {
namespace {

using checkpoint::ModelFolder;
using checkpoint::TensorIndex;
using checkpoint::TensorInfo;

// The distinct tensors of a layout in the order of their files, so that a load reads forward.
Result<std::vector<const TensorInfo*>> tensors_of(const TensorIndex& index,
                                                  const TapeLayout& layout) {
  std::vector<const TensorInfo*> tensors;
  const auto add = [&](const std::string& name) -> Result<void> {
    OLLM_TRY(const TensorInfo* tensor, index.require(name));
    tensors.push_back(tensor);
    return {};
  };
  for (const MatrixUse& use : layout.matrices) OLLM_TRY_VOID(add(use.tensor));
  for (const VectorUse& use : layout.vectors) OLLM_TRY_VOID(add(use.tensor));
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->file, a->offset_bytes) < std::pair(b->file, b->offset_bytes);
  });
  tensors.erase(std::unique(tensors.begin(), tensors.end()), tensors.end());
  return tensors;
}

std::uint64_t storage_bytes(const std::vector<const TensorInfo*>& tensors) {
  std::uint64_t sum = 0;
  for (const TensorInfo* tensor : tensors)
    sum += round_up(tensor->size_bytes, memory::kCacheLineBytes);
  return sum;
}

Error at(const TensorInfo& tensor, Error error) {
  return std::move(error).within(fmt::format("tensor {}", tensor.name));
}

}  // namespace

Result<std::uint64_t> pinned_bytes(const TensorIndex& index, const TapeLayout& layout) {
  OLLM_TRY(const std::vector<const TensorInfo*> tensors, tensors_of(index, layout));
  return storage_bytes(tensors);
}

Result<std::vector<Segment>> cut_segments(const TensorIndex& index, const TapeLayout& layout,
                                          const Options& options) {
  std::vector<Segment> segments;
  for (std::uint32_t i = 0; i < layout.matrices.size(); ++i) {
    const MatrixUse& use = layout.matrices[i];
    OLLM_TRY(const TensorInfo* tensor, index.require(use.tensor));
    const std::uint64_t row_bytes = std::uint64_t{use.cols} * size_bytes(tensor->dtype);
    const std::size_t rows_at_once =
        std::max<std::size_t>(1, options.segment_bytes / std::max<std::uint64_t>(1, row_bytes));
    for (std::size_t row = 0; row < use.rows; row += rows_at_once) {
      const std::size_t rows = std::min(rows_at_once, use.rows - row);
      segments.push_back({i, row, rows, tensor->file,
                          tensor->offset_bytes + (use.first_row + row) * row_bytes,
                          rows * row_bytes});
    }
  }
  return segments;
}

Result<std::unique_ptr<Tape>> Tape::load(const ModelFolder& folder, const TapeLayout& layout,
                                         const Options& options, memory::Budget& budget,
                                         LoadProgress progress, const CancellationToken& cancel) {
  std::unique_ptr<Tape> tape(new Tape());
  tape->layout_ = layout;
  OLLM_TRY(tape->segments_, cut_segments(folder.tensors(), layout, options));
  OLLM_TRY(const std::vector<const TensorInfo*> tensors, tensors_of(folder.tensors(), layout));
  OLLM_TRY(tape->storage_, memory::Buffer::make(budget, "weights", storage_bytes(tensors)));
  OLLM_TRY_VOID(folder.check_unchanged());

  std::uint64_t total = 0;
  for (const TensorInfo* tensor : tensors) total += tensor->size_bytes;
  std::map<std::string_view, Pinned> pinned;
  std::byte* place = tape->storage_.data();
  for (const TensorInfo* tensor : tensors) {
    pinned[tensor->name] = {place, tensor->dtype};
    for (std::uint64_t done = 0; done < tensor->size_bytes;) {
      OLLM_TRY_VOID(cancel.check());
      const std::uint64_t piece =
          std::min<std::uint64_t>(options.segment_bytes, tensor->size_bytes - done);
      Result<void> read =
          folder.file(tensor->file).read_at(tensor->offset_bytes + done, {place + done, piece});
      if (!read.ok()) return at(*tensor, std::move(read).error());
      done += piece;
      tape->loaded_bytes_ += piece;
      if (progress) progress(tape->loaded_bytes_, total);
    }
    place += round_up(tensor->size_bytes, memory::kCacheLineBytes);
  }
  OLLM_TRY_VOID(folder.check_unchanged());

  for (const MatrixUse& use : layout.matrices) {
    const Pinned& tensor = pinned[use.tensor];
    const std::size_t row_bytes = use.cols * size_bytes(tensor.dtype);
    tape->matrices_.push_back({tensor.data + use.first_row * row_bytes, tensor.dtype});
  }
  for (const VectorUse& use : layout.vectors) {
    const Pinned& tensor = pinned[use.tensor];
    tape->vectors_.push_back({tensor.data + use.first * size_bytes(tensor.dtype), tensor.dtype});
  }
  return tape;
}

backend::WeightVector Tape::vector(VectorId id) const {
  const Pinned& pinned = vectors_[id.index];
  return {pinned.data, pinned.dtype, layout_.vectors[id.index].size};
}

Result<void> Tape::check_same_bytes(const ModelFolder& folder, const TensorInfo& tensor,
                                    MatrixId matrix) const {
  const std::byte* held = matrices_[matrix.index].data;
  std::vector<std::byte> piece(std::min<std::uint64_t>(tensor.size_bytes, std::uint64_t{1} << 20));
  for (std::uint64_t done = 0; done < tensor.size_bytes;) {
    const std::uint64_t size = std::min<std::uint64_t>(piece.size(), tensor.size_bytes - done);
    Result<void> read =
        folder.file(tensor.file).read_at(tensor.offset_bytes + done, std::span(piece).first(size));
    if (!read.ok()) return at(tensor, std::move(read).error());
    if (std::memcmp(piece.data(), held + done, size) != 0) {
      return fail(ErrorKind::corrupt,
                  fmt::format("tensor {} differs from {}, though config.json ties them: which one "
                              "counts is not known",
                              tensor.name, layout_.matrices[matrix.index].tensor));
    }
    done += size;
  }
  return {};
}

Result<void> Pass::for_each_segment(
    MatrixId matrix, FunctionRef<void(const backend::WeightRows&, std::size_t)> use) {
  const MatrixUse& shape = tape_.layout_.matrices[matrix.index];
  const Tape::Pinned& pinned = tape_.matrices_[matrix.index];
  use({pinned.data, pinned.dtype, shape.rows, shape.cols}, 0);
  return {};
}

Result<void> Pass::gather_rows(MatrixId matrix, std::span<const std::uint32_t> rows,
                               FunctionRef<void(const backend::WeightRows&, std::size_t)> use) {
  const MatrixUse& shape = tape_.layout_.matrices[matrix.index];
  const Tape::Pinned& pinned = tape_.matrices_[matrix.index];
  const std::size_t row_bytes = shape.cols * size_bytes(pinned.dtype);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    OLLM_DCHECK(rows[i] < shape.rows);
    use({pinned.data + rows[i] * row_bytes, pinned.dtype, 1, shape.cols}, i);
  }
  return {};
}

}  // namespace ollm::weights
