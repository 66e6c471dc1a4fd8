// Blocks that are on disk, read ahead of the sweep that walks over them: layer by layer, line by
// line, in the order of use, through the queue in which the weights stand too. Leaves to others:
// which blocks a line has (line.h), files and checksums (pool.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/read_queue.h"
#include "ollm/kv/store.h"
#include "ollm/memory/budget.h"
#include "ollm/memory/buffer.h"

namespace ollm::kv {

class Line;

/// A line and how many rows of it a sweep has.
struct SweepLine {
  Line* line = nullptr;
  std::size_t rows = 0;
};

/// The reads of one store's sweeps. A block without a frame comes through the ring in every sweep;
/// one whose frame is still empty is read into it, once. One thread at a time; allocates nothing
/// in a sweep. Codes come through the ring for both, and are decoded as they are taken.
class SweepReads {
 public:
  /// Both must outlive it. Errors: out_of_budget.
  static Result<std::unique_ptr<SweepReads>> make(Store& store, io::ReadQueue& queue,
                                                  memory::Budget& budget);
  ~SweepReads();

  /// Begins to read for a sweep over these lines, which do not change until it ends. What an
  /// abandoned one left is dropped.
  void begin(std::span<const SweepLine> lines);
  void end();
  /// Whether blocks are on their way: inside a sweep only.
  bool reading() const { return begun_ != used_; }

  /// The blocks that come next in the walk of a line over a layer and are not in memory, of which
  /// `block` is the first: sleeps until they are there, checks them, and gives what they are in.
  /// They are valid until the next call.
  struct Arrived {
    std::size_t blocks = 0;
    const std::byte* parts = nullptr;  // Store::part_bytes each; null: they are in frames now
  };
  /// Errors: io, corrupt; the block that is to blame was told to Store::damaged and is `blamed`.
  Result<Arrived> take(const Line& line, std::size_t layer, std::size_t block);
  std::size_t blamed() const { return blamed_; }

  std::uint64_t bytes_read() const;
  double wait_seconds() const { return wait_seconds_; }

 private:
  // Blocks of one line and layer whose reads are begun together.
  struct Piece {
    const Line* line = nullptr;
    std::size_t layer = 0;
    std::size_t first_block = 0;
    std::size_t blocks = 0;
    bool has_frames = false;
    bool in_ring = false;  // where their bytes arrive; else in their frames
  };

  SweepReads(Store& store, io::ReadQueue& queue);
  void forget();
  void fill();
  bool next_to_read();
  bool in_range(const SweepLine& line) const;
  bool begin_piece();
  std::byte* slot(std::uint64_t number);
  void release_held();
  void release_front();
  Result<void> check(const Piece& piece);
  void decode(const Store::Group& group, const std::byte* part, std::byte* out) const;

  Store& store_;
  io::ReadQueue& queue_;
  std::size_t slots_ = 0;
  memory::Buffer memory_;
  std::byte* ring_ = nullptr;

  std::vector<SweepLine> lines_;  // of the sweep
  // What is looked at next, to read ahead.
  std::size_t layer_ = 0;
  std::size_t line_ = 0;
  std::size_t block_ = 0;
  bool at_line_begin_ = true;

  // Pieces are counted on and on; the n-th is pieces_[n % size].
  std::vector<Piece> pieces_;
  std::vector<io::ReadRequest> requests_;
  std::vector<io::QueuedRead> reads_;  // kMostReads of each piece
  std::uint64_t begun_ = 0;
  std::uint64_t used_ = 0;
  std::uint64_t ring_begun_ = 0;  // of them, those in the ring
  std::uint64_t ring_used_ = 0;
  bool held_ = false;  // the last that was taken may still be read from
  std::size_t blamed_ = 0;
  double wait_seconds_ = 0;
};

}  // namespace ollm::kv
