// The weights of a model as a sweep meets them: a tape of segments, each some rows of one tensor.
// Leaves to others: what the rows mean (models/) and which segments are pinned (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/cancel.h"
#include "ollm/base/function_ref.h"
#include "ollm/base/result.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/memory/buffer.h"
#include "ollm/weights/tape_layout.h"

namespace ollm::weights {

/// What the plan chose. All segments are pinned: read once, kept.
struct Options {
  /// A segment holds as many whole rows as fit into this, at least one. It is also the unit of
  /// reading, so that a layer of a 70B model never stands in memory twice.
  std::size_t segment_bytes = std::size_t{4} << 20;
};

/// Some rows of one matrix: the unit that a linear layer consumes.
struct Segment {
  std::uint32_t matrix = 0;   // index into TapeLayout::matrices
  std::size_t first_row = 0;  // within the matrix
  std::size_t rows = 0;
  std::uint32_t file = 0;
  std::uint64_t offset_bytes = 0;  // in the file, at any byte
  std::uint64_t size_bytes = 0;
};

/// Told how many bytes of weights were read, of how many.
using LoadProgress = FunctionRef<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// Bytes that a tape of this layout charges when all of it is pinned; each tensor once, however
/// often it is used. Errors: not_found where a tensor is missing.
Result<std::uint64_t> pinned_bytes(const checkpoint::TensorIndex& index, const TapeLayout& layout);

/// The segments of a layout: by matrix, then by row. Errors: not_found where a tensor is missing.
Result<std::vector<Segment>> cut_segments(const checkpoint::TensorIndex& index,
                                          const TapeLayout& layout, const Options& options);

/// Owns the weights of one loaded model; constant after load, any number of sweeps may read it.
class Tape {
 public:
  /// Reads what is pinned. Errors: those of pinned_bytes; io, corrupt from reading, naming tensor,
  /// file and offset; out_of_budget; cancelled.
  static Result<std::unique_ptr<Tape>> load(const checkpoint::ModelFolder& folder,
                                            const TapeLayout& layout, const Options& options,
                                            memory::Budget& budget, LoadProgress progress,
                                            const CancellationToken& cancel);

  const TapeLayout& layout() const { return layout_; }
  std::span<const Segment> segments() const { return segments_; }
  std::uint64_t loaded_bytes() const { return loaded_bytes_; }

  backend::WeightVector vector(VectorId id) const;

  /// That a stored tensor holds the same bytes as a whole matrix of the tape (the head of a tied
  /// model beside the embedding). Errors: corrupt where not; io.
  Result<void> check_same_bytes(const checkpoint::ModelFolder& folder,
                                const checkpoint::TensorInfo& tensor, MatrixId matrix) const;

 private:
  friend class Pass;
  struct Pinned {
    const std::byte* data = nullptr;
    DType dtype = DType::f32;
  };
  Tape() = default;

  TapeLayout layout_;
  std::vector<Segment> segments_;  // by matrix, then by row
  std::vector<Pinned> matrices_;   // of each matrix
  std::vector<Pinned> vectors_;    // of each vector
  memory::Buffer storage_;
  std::uint64_t loaded_bytes_ = 0;
};

/// One pass over the tape: what a sweep reads weights through. A linear layer cannot tell a pinned
/// segment from one that was just read.
class Pass {
 public:
  explicit Pass(const Tape& tape) : tape_(tape) {}

  /// Calls `use` for every segment of the matrix, in ascending rows, with the segment's first row.
  /// Pinned segments that stand together come as one.
  /// Matrices must be asked for in the order of the layout, each once a pass.
  /// Errors: io, corrupt where a streamed segment cannot be read.
  Result<void> for_each_segment(
      MatrixId matrix, FunctionRef<void(const backend::WeightRows&, std::size_t first_row)> use);

  /// Calls `use` with each named row of the matrix; at any time. Rows were checked by the caller.
  Result<void> gather_rows(MatrixId matrix, std::span<const std::uint32_t> rows,
                           FunctionRef<void(const backend::WeightRows&, std::size_t position)> use);

 private:
  const Tape& tape_;
};

}  // namespace ollm::weights
