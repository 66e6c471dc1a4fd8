// The weights of a model as a sweep meets them: a tape of segments, pinned in memory or read ahead
// from disk. Leaves to others: what the rows mean (models/) and how much is pinned (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/thread_pool.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/io/file.h"
#include "ollm/memory/buffer.h"
#include "ollm/weights/experts.h"
#include "ollm/weights/streamed_segments.h"
#include "ollm/weights/tape_layout.h"
#include "ollm/weights/tape_map.h"

namespace ollm::weights {

/// Told how many bytes of weights were read, of how many.
using LoadProgress = FunctionRef<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// What reading has cost so far: of this tape's streamed segments and experts, and of CPU, of all
/// that goes through the same queue.
struct StreamCost {
  std::uint64_t bytes_read = 0;
  double wait_s = 0;  // that the sweep slept, as the disk was not there yet
  double cpu_s = 0;
  ExpertCounts experts;
};

/// Owns the weights of one loaded model. What is pinned is constant after load; what is streamed is
/// read by one pass at a time.
class Tape {
 public:
  /// Reads what is pinned, and begins to read ahead what is not, through `queue`, which must
  /// outlive the tape. Errors: not_found where a tensor is missing; io, corrupt from reading,
  /// naming file and byte; out_of_budget; cancelled; unsupported where the planned access is not to
  /// be had. `pool` moves what was read to its place.
  static Result<std::unique_ptr<Tape>> load(const checkpoint::ModelFolder& folder,
                                            const TapeLayout& layout, const Options& options,
                                            memory::Budget& budget, ThreadPool& pool,
                                            io::ReadQueue& queue, LoadProgress progress,
                                            const CancellationToken& cancel);

  const TapeLayout& layout() const { return layout_; }
  const TapeMap& map() const { return map_; }
  /// Read while loading.
  std::uint64_t loaded_bytes() const { return loaded_bytes_; }
  StreamCost stream_cost() const;
  /// How streamed segments are read; nothing where there are none.
  std::optional<io::ReadMethod> read_method() const;

  backend::WeightVector vector(VectorId id) const;
  /// A matrix that is held, whole; at any time.
  backend::WeightRows held(MatrixId id) const;
  /// Null where the layout has none.
  Experts* experts() const { return experts_.get(); }

 private:
  friend class TapePass;
  explicit Tape(io::ReadQueue& queue) : queue_(queue) {}
  Result<void> open_files(const checkpoint::ModelFolder& folder, const Options& options);
  Result<void> load_pinned(const Options& options, memory::Budget& budget, ThreadPool& pool,
                           LoadProgress progress, const CancellationToken& cancel);
  void keep(ThreadPool& pool, const PinnedExtent& pinned, const std::byte* bytes);
  Result<void> load_experts(const Options& options, memory::Budget& budget, LoadProgress progress,
                            const CancellationToken& cancel);
  bool reads_in_passes() const { return streamed_ || (experts_ && !experts_->holds_all()); }
  Result<void> check_unchanged() const;
  Error damaged_scales(std::uint32_t matrix) const;
  const std::string& tensor_name(std::uint32_t use) const;

  io::ReadQueue& queue_;
  TapeLayout layout_;
  TapeMap map_;
  std::vector<io::File> files_;  // of the tensor index, opened as the plan says
  memory::Buffer storage_;
  std::uint64_t loaded_bytes_ = 0;
  std::uint64_t bytes_to_load_ = 0;
  std::unique_ptr<StreamedSegments> streamed_;  // null where everything is pinned
  std::unique_ptr<Experts> experts_;            // null where there are none
};

/// One pass over the tape: what a sweep reads weights through. A linear layer cannot tell a pinned
/// segment from one that was just read.
class TapePass {
 public:
  /// A pass over the matrices of some sections; gathered ones are had in any. One at a time.
  /// Errors: corrupt where a file changed since the folder was opened; io.
  static Result<TapePass> begin(Tape& tape, Sections sections);

  TapePass(TapePass&& other) noexcept : tape_(other.tape_) {}
  TapePass& operator=(TapePass&&) = delete;

  /// Calls `use` for every segment of the matrix, in ascending rows, with the segment's first row.
  /// Pinned segments that stand together come as one.
  /// Matrices of the pass's sections must be asked for in the order of the layout, each once.
  /// Errors: io, corrupt where a streamed segment cannot be read.
  Result<void> for_each_segment(
      MatrixId matrix, FunctionRef<void(const backend::WeightRows&, std::size_t first_row)> use);

  /// Calls `use` with each named row of a gathered matrix; at any time. Rows were checked by the
  /// caller. Errors: io, corrupt where a row cannot be read.
  Result<void> gather_rows(MatrixId matrix, std::span<const std::uint32_t> rows,
                           FunctionRef<void(const backend::WeightRows&, std::size_t position)> use);

  /// Declares the pass complete, so that what was read ahead serves the next one. What the pass
  /// computed may be used only then.
  /// Errors: corrupt where a file changed since the pass began, as some of its bytes may be the old
  /// ones and some the new; io.
  Result<void> end();

 private:
  explicit TapePass(Tape& tape) : tape_(tape) {}

  Tape& tape_;
};

}  // namespace ollm::weights
