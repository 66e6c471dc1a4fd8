// The experts of a model as sweeps choose them: kept in memory, or read for the sweep that wants
// them. Leaves to others: where they are (expert_map.h), which are worth keeping (expert_cache.h),
// what chooses them (models/blocks/mixture.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/io/slot_ring.h"
#include "ollm/memory/budget.h"
#include "ollm/memory/buffer.h"
#include "ollm/weights/expert_cache.h"
#include "ollm/weights/expert_map.h"
#include "ollm/weights/tape_layout.h"
#include "ollm/weights/tape_map.h"

namespace ollm::weights {

/// The matrices of one expert, in the order of its form; valid until the call that gets them ends.
struct ExpertWeights {
  std::span<const backend::WeightRows> matrices;
};

/// What experts have cost so far, or between two moments.
struct ExpertCounts {
  std::uint64_t wanted = 0;       // uses: experts that a sweep chose, each once
  std::uint64_t hits = 0;         // of them, those that were kept
  std::uint64_t guessed = 0;      // of the others, those whose reading had begun before
  std::uint64_t read_bytes = 0;   // of the wanted that were not kept
  std::uint64_t wrong_bytes = 0;  // read for guesses that nobody wanted

  /// Calls `visit` for each count of this and of another.
  template <typename Visit>
  void for_each(const ExpertCounts& other, Visit visit) {
    visit(wanted, other.wanted);
    visit(hits, other.hits);
    visit(guessed, other.guessed);
    visit(read_bytes, other.read_bytes);
    visit(wrong_bytes, other.wrong_bytes);
  }
};

/// Owns the memory of one model's experts. One thread at a time, that of the queue; allocates
/// nothing after `load`. What was kept or guessed never changes a bit of what is computed.
class Experts {
 public:
  /// `map`, `layout`, `files` and `queue` must outlive it. Errors: out_of_budget.
  static Result<std::unique_ptr<Experts>> make(const ExpertMap& map, const TapeLayout& layout,
                                               std::span<const io::File> files,
                                               const Options& options, memory::Budget& budget,
                                               io::ReadQueue& queue);

  /// Whether all of them have room.
  bool holds_all() const { return holds_all_; }
  /// Reads all of them, where they have room. `progress` is told the bytes that came. Errors: as
  /// use; cancelled.
  Result<void> load(FunctionRef<void(std::uint64_t bytes)> progress,
                    const CancellationToken& cancel);

  /// A sweep begins.
  void begin_sweep();

  /// Calls `fn` for each of the experts `ids` of a layer, which ascend, in that order, with its
  /// matrices; reads those that are not kept, as many ahead as there is room for. Errors: of `fn`;
  /// io, corrupt where one cannot be read or its scales are no numbers, naming a tensor.
  Result<void> use(ExpertsId layer, std::span<const std::uint32_t> ids,
                   FunctionRef<Result<void>(std::uint32_t id, const ExpertWeights&)> fn);

  /// What a layer will want soon, as a guess, the likeliest first: read where nothing that is known
  /// to be wanted waits, and dropped without waiting where the layer then wants others. Guesses
  /// that were wrong too often are passed over.
  void guess(ExpertsId layer, std::span<const std::uint32_t> ids);

  const ExpertCounts& counts() const { return counts_; }
  const io::SlotRing& ring() const { return *ring_; }
  /// How much each expert of a layer is wanted: uses of late.
  double wanted(ExpertsId layer, std::uint32_t id) const {
    return cache_.wanted(map_.layers[layer.index].first + id);
  }
  /// That of an earlier run, by layer and expert, before the first sweep.
  void remember(std::span<const float> wanted) { cache_.remember(wanted); }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;

  struct Slot {
    std::uint32_t expert = kNone;
    bool reading = false;            // it was begun, and its bytes were not looked at
    bool leaving = false;            // given up: free once nothing is under way
    bool aligned = false;            // its matrices were moved to cache lines
    std::uint64_t bytes_before = 0;  // that the slot had read when it was begun
  };

  Experts(const ExpertMap& map, const TapeLayout& layout, std::span<const io::File> files,
          const Options& options);

  void begin_use(std::uint32_t layer, std::span<const std::uint32_t> ids);
  void take_back();
  std::uint32_t free_slot();
  void begin(std::uint32_t slot, std::uint32_t expert, io::ReadPriority priority);
  void leave(std::uint32_t slot);
  void free(std::uint32_t slot);
  void drop_wrong_guesses(std::uint32_t first, std::uint32_t experts,
                          std::span<const std::uint32_t> ids);
  void make_room(std::uint32_t first, std::span<const std::uint32_t> later);
  std::size_t read_ahead(std::uint32_t first, std::span<const std::uint32_t> ids, std::size_t next);
  void begin_guesses();
  bool may_guess();
  Result<void> take(std::uint32_t layer, std::uint32_t expert);
  std::size_t damaged_scales() const;
  void lay_out(std::uint32_t layer, std::uint32_t expert);
  void align(std::uint32_t layer, std::uint32_t expert);
  std::byte* memory_of(std::uint32_t slot) { return slot_memory_ + slot * slot_bytes_; }
  void done(std::uint32_t expert, bool was_kept);
  Error of_expert(Error error, std::uint32_t layer, std::uint32_t expert, std::size_t matrix) const;

  // constant after make
  const ExpertMap& map_;
  const TapeLayout& layout_;
  const std::span<const io::File> files_;
  const bool holds_all_;

  memory::Buffer memory_;
  std::byte* slot_memory_ = nullptr;  // of the first slot
  std::uint64_t slot_bytes_ = 0;
  std::unique_ptr<io::SlotRing> ring_;
  ExpertCache cache_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> slot_of_;  // of each expert, or kNone
  std::vector<std::uint32_t> free_;     // slots that nothing is in and nothing comes to
  std::vector<std::uint32_t> leaving_;  // slots that were given up
  std::vector<std::uint32_t> guesses_;  // experts, the likeliest last
  std::uint64_t guess_bytes_ = 0;       // of guesses that nobody has wanted yet
  std::vector<io::Extent> extents_;     // of the expert that begins
  std::array<backend::WeightRows, 3> matrices_;
  std::size_t matrix_count_ = 0;
  std::vector<bool> was_kept_;  // of the ids in use
  ExpertCounts counts_;
};

}  // namespace ollm::weights
