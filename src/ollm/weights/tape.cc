#include "ollm/weights/tape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "ollm/backend/float_mode.h"
#include "ollm/backend/reference/elements.h"
#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm::weights {

using checkpoint::ModelFolder;
using checkpoint::TensorInfo;

namespace {

// Bytes that one thread copies at once: the first touch of new pages, which the system has to
// clear, costs more than the copy.
constexpr std::size_t kCopiedBytes = std::size_t{512} << 10;

void move_to(ThreadPool& pool, const std::byte* from, std::size_t size, std::byte* to) {
  pool.parallel_for((size + kCopiedBytes - 1) / kCopiedBytes, [&](std::size_t i) {
    const std::size_t at = i * kCopiedBytes;
    std::memcpy(to + at, from + at, std::min(kCopiedBytes, size - at));
  });
}

// Exact but for what a norm adds, which is rounded as its kernel would round it.
void widen(const std::byte* from, DType dtype, const VectorUse& use, float* to) {
  const backend::FloatMode mode;
  for (std::size_t i = 0; i < use.size; ++i) {
    const float value = backend::weight_at(from, dtype, i);
    to[i] = use.add ? value + *use.add : value;
  }
}

}  // namespace

Result<void> Tape::open_files(const ModelFolder& folder, const Options& options) {
  const std::size_t count = folder.tensors().files().size();
  for (std::uint32_t i = 0; i < count; ++i) {
    OLLM_TRY(io::File file, folder.file(i).reopen(options.access));
    files_.push_back(std::move(file));
  }
  return {};
}

Result<void> Tape::check_unchanged() const {
  for (const io::File& file : files_) OLLM_TRY_VOID(file.check_unchanged());
  return {};
}

Result<std::unique_ptr<Tape>> Tape::load(const ModelFolder& folder, const TapeLayout& layout,
                                         const Options& options, memory::Budget& budget,
                                         ThreadPool& pool, io::ReadQueue& queue,
                                         LoadProgress progress, const CancellationToken& cancel) {
  std::unique_ptr<Tape> tape(new Tape(queue));
  tape->layout_ = layout;
  OLLM_TRY(tape->map_, map_tape(folder.tensors(), layout, options));
  OLLM_TRY_VOID(tape->open_files(folder, options));
  OLLM_TRY_VOID(tape->check_unchanged());
  OLLM_TRY_VOID(tape->load_pinned(options, budget, pool, progress, cancel));
  OLLM_TRY_VOID(tape->load_experts(options, budget, progress, cancel));
  OLLM_TRY_VOID(tape->check_unchanged());
  if (!tape->map_.all_pinned()) {
    OLLM_TRY(tape->streamed_,
             StreamedSegments::make(tape->map_, tape->files_, options, budget, queue));
    tape->streamed_->start();
  }
  return tape;
}

const std::string& Tape::tensor_name(std::uint32_t use) const {
  const std::size_t matrices = layout_.matrices.size();
  return use < matrices ? layout_.matrices[use].tensor : layout_.vectors[use - matrices].tensor;
}

// What was read finds its place: segments as they are, vectors widened.
void Tape::keep(ThreadPool& pool, const PinnedExtent& pinned, const std::byte* bytes) {
  std::byte* place = storage_.data() + pinned.place;
  const std::size_t matrices = layout_.matrices.size();
  if (pinned.use < matrices) return move_to(pool, bytes, pinned.extent.size_bytes, place);
  const std::size_t vector = pinned.use - matrices;
  widen(bytes, map_.vectors[vector].dtype, layout_.vectors[vector],
        reinterpret_cast<float*>(place));
}

// Through a ring of its own, in the order of the files, and from there to its place: files promise
// no alignment, kernels like cache lines.
Result<void> Tape::load_pinned(const Options& options, memory::Budget& budget, ThreadPool& pool,
                               LoadProgress progress, const CancellationToken& cancel) {
  if (expert_slots(map_.experts, options) == map_.experts.count())
    bytes_to_load_ += map_.experts.bytes;
  OLLM_TRY(storage_, memory::Buffer::make(budget, "weights", map_.storage_bytes));
  const PinnedLoads pinned = pinned_loads(map_, options);
  const Loads& loads = pinned.loads;
  if (loads.loads.empty()) return {};
  for (const PinnedExtent& one : pinned.wanted) bytes_to_load_ += one.extent.size_bytes;

  const io::SlotRing::Options ring_options = load_ring_options(loads, options);
  OLLM_TRY(memory::Buffer memory,
           memory::Buffer::make(budget, "load ring",
                                ring_bytes(ring_options) + io::File::kDirectAlignment));
  io::SlotRing ring(queue_, ring_options, io::aligned_for_reads(memory.bytes()));

  std::vector<io::Extent> extents;
  const auto begin = [&](std::uint32_t load) {
    extents_of(loads, load, files_, extents);
    ring.begin(load % ring_options.slots, extents);
  };
  const auto count = static_cast<std::uint32_t>(loads.loads.size());
  for (std::uint32_t load = 0; load < std::min<std::size_t>(count, ring_options.slots); ++load)
    begin(load);
  std::size_t item = 0;
  for (std::uint32_t load = 0; load < count; ++load) {
    OLLM_TRY_VOID(cancel.check());
    Result<const std::byte*> slot = ring.wait(load % ring_options.slots);
    if (!slot.ok()) {
      const bool alone = item + 1 == pinned.items.size() || pinned.items[item + 1].load != load;
      return std::move(slot).error().within(fmt::format("tensor {}{}",
                                                        tensor_name(pinned.wanted[item].use),
                                                        alone ? "" : " or one read with it"));
    }
    for (; item < pinned.items.size() && pinned.items[item].load == load; ++item) {
      const PinnedExtent& one = pinned.wanted[item];
      keep(pool, one, *slot + pinned.items[item].place);
      loaded_bytes_ += one.extent.size_bytes;
    }
    if (load + ring_options.slots < count)
      begin(load + static_cast<std::uint32_t>(ring_options.slots));
    if (progress) progress(loaded_bytes_, bytes_to_load_);
  }
  return {};
}

Result<void> Tape::load_experts(const Options& options, memory::Budget& budget,
                                LoadProgress progress, const CancellationToken& cancel) {
  if (map_.experts.empty()) return {};
  OLLM_TRY(experts_, Experts::make(map_.experts, layout_, files_, options, budget, queue_));
  return experts_->load(
      [&](std::uint64_t bytes) {
        loaded_bytes_ = std::min(loaded_bytes_ + bytes, bytes_to_load_);
        if (progress) progress(loaded_bytes_, bytes_to_load_);
      },
      cancel);
}

StreamCost Tape::stream_cost() const {
  StreamCost cost;
  if (experts_) cost.experts = experts_->counts();
  if (!reads_in_passes()) return cost;
  cost.cpu_s = queue_.cpu_seconds();
  const auto add = [&](const io::SlotRing& ring) {
    cost.bytes_read += ring.bytes_read();
    cost.wait_s += ring.wait_seconds();
  };
  if (streamed_) add(streamed_->ring());
  if (experts_) add(experts_->ring());
  return cost;
}

std::optional<io::ReadMethod> Tape::read_method() const {
  if (!reads_in_passes()) return std::nullopt;
  return queue_.method();
}

backend::WeightVector Tape::vector(VectorId id) const {
  const std::byte* place = storage_.data() + map_.vectors[id.index].place;
  return {reinterpret_cast<const float*>(place), layout_.vectors[id.index].size};
}

Error Tape::damaged_scales(std::uint32_t matrix) const {
  return {ErrorKind::corrupt,
          fmt::format("tensor {}: a scale is no number, or its weights are beyond BF16",
                      layout_.matrices[matrix].scales)};
}

backend::WeightRows Tape::held(MatrixId id) const {
  const MatrixUse& use = layout_.matrices[id.index];
  OLLM_CHECK(use.held);
  return {storage_.data() + map_.segments_of(id.index).front().place, map_.formats[id.index],
          use.rows, use.cols};
}

Result<TapePass> TapePass::begin(Tape& tape, Sections sections) {
  if (tape.reads_in_passes()) OLLM_TRY_VOID(tape.check_unchanged());
  if (tape.streamed_) tape.streamed_->begin_pass(sections);
  if (tape.experts_) tape.experts_->begin_sweep();
  return TapePass(tape);
}

Result<void> TapePass::end() {
  if (tape_.reads_in_passes()) OLLM_TRY_VOID(tape_.check_unchanged());
  if (tape_.streamed_) tape_.streamed_->end_pass();
  return {};
}

Result<void> TapePass::for_each_segment(
    MatrixId matrix, FunctionRef<void(const backend::WeightRows&, std::size_t)> use) {
  const std::size_t cols = tape_.layout_.matrices[matrix.index].cols;
  const WeightFormat& format = tape_.map_.formats[matrix.index];
  const std::span<const Segment> segments = tape_.map_.segments_of(matrix.index);
  for (std::size_t i = 0; i < segments.size();) {
    const Segment& first = segments[i++];
    std::size_t rows = first.rows;
    const std::byte* memory = tape_.storage_.data();
    if (!first.pinned) {
      Result<const std::byte*> slot = tape_.streamed_->wait(first.load);
      if (!slot.ok()) {
        return std::move(slot).error().within(
            fmt::format("tensor {}", tape_.layout_.matrices[matrix.index].tensor));
      }
      memory = *slot;
    }
    if (first.scales.size_bytes != 0) {
      const std::byte* scales = memory + first.scales_place;
      if (!scales_are_valid(format, {scales, first.scales.size_bytes}))
        return tape_.damaged_scales(matrix.index);
      use({memory + first.place, format, rows, cols, scales}, first.first_row);
      continue;
    }
    if (first.pinned)
      for (; i < segments.size() && segments[i].pinned; ++i) rows += segments[i].rows;
    use({memory + first.place, format, rows, cols}, first.first_row);
  }
  return {};
}

Result<void> TapePass::gather_rows(MatrixId matrix, std::span<const std::uint32_t> rows,
                                   FunctionRef<void(const backend::WeightRows&, std::size_t)> use) {
  const MatrixUse& shape = tape_.layout_.matrices[matrix.index];
  const WeightFormat& format = tape_.map_.formats[matrix.index];
  const std::span<const Segment> segments = tape_.map_.segments_of(matrix.index);
  const std::size_t row_bytes = size_bytes(format, shape.cols);
  const std::size_t rows_at_once = segments.front().rows;  // the last alone may have fewer

  // Rows on disk are gathered some at a time: those of `from_disk`, which lie in the slot in order.
  constexpr std::size_t kMost = 256;
  std::array<io::Extent, kMost> extents;
  std::array<std::size_t, kMost> positions{};
  std::size_t count = 0;
  const auto read = [&]() -> Result<void> {
    if (count == 0) return {};
    OLLM_TRY(const std::byte* slot, tape_.streamed_->gather({extents.data(), count}));
    for (std::size_t i = 0; i < count; ++i) {
      use({slot + io::SlotRing::lead_bytes(extents[i].offset_bytes), format, 1, shape.cols},
          positions[i]);
      slot += io::SlotRing::space_bytes(extents[i].offset_bytes, extents[i].size_bytes);
    }
    count = 0;
    return {};
  };
  const std::size_t at_once =
      tape_.streamed_ ? std::min(kMost, tape_.streamed_->gather_rows()) : std::size_t{0};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    OLLM_DCHECK(rows[i] < shape.rows);
    const Segment& segment = segments[rows[i] / rows_at_once];
    const std::uint64_t within = (rows[i] - segment.first_row) * row_bytes;
    if (segment.pinned) {
      use({tape_.storage_.data() + segment.place + within, format, 1, shape.cols}, i);
      continue;
    }
    extents[count] = {&tape_.files_[segment.file], segment.offset_bytes + within, row_bytes};
    positions[count++] = i;
    if (count == at_once) OLLM_TRY_VOID(read());
  }
  return read();
}

}  // namespace ollm::weights
