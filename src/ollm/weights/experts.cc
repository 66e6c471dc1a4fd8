#include "ollm/weights/experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/weights/streamed_segments.h"

namespace ollm::weights {
namespace {

// Of the bytes that were wanted and read, what may be lost to wrong guesses, those that nobody has
// wanted yet among them.
constexpr double kMostWrong = 0.12;

// Experts that are read at once while loading.
constexpr std::size_t kReadsAhead = 4;

constexpr std::uint64_t aligned(std::uint64_t place) {
  return place - place % memory::kCacheLineBytes;
}
constexpr Laid::Place aligned(const Laid::Place& place) {
  return {aligned(place.data), aligned(place.scales)};
}

// Scales of a byte, as all that are built are.
std::size_t scale_count(const backend::WeightRows& rows) {
  const BlockScale& scale = *rows.format.scale;
  return rows.rows / scale.rows * (rows.cols / scale.cols);
}

}  // namespace

Experts::Experts(const ExpertMap& map, const TapeLayout& layout, std::span<const io::File> files,
                 const Options& options)
    : map_(map),
      layout_(layout),
      files_(files),
      holds_all_(expert_slots(map, options) == map.count()),
      cache_(map.count(), kept_experts(map, options)),
      slots_(expert_slots(map, options)),
      slot_of_(map.count(), kNone) {}

Result<std::unique_ptr<Experts>> Experts::make(const ExpertMap& map, const TapeLayout& layout,
                                               std::span<const io::File> files,
                                               const Options& options, memory::Budget& budget,
                                               io::ReadQueue& queue) {
  std::unique_ptr<Experts> experts(new Experts(map, layout, files, options));
  OLLM_TRY(experts->memory_,
           memory::Buffer::make(budget, "experts", expert_slot_bytes(map, options)));
  const io::SlotRing::Options ring = expert_ring_options(map, options);
  const std::span<std::byte> memory = io::aligned_for_reads(experts->memory_.bytes());
  experts->slot_bytes_ = ring.slot_bytes;
  experts->slot_memory_ = memory.data();
  experts->ring_ = std::make_unique<io::SlotRing>(queue, ring, memory);
  const std::size_t slots = experts->slots_.size();
  for (std::size_t i = slots; i > 0; --i)
    experts->free_.push_back(static_cast<std::uint32_t>(i - 1));
  experts->leaving_.reserve(slots);
  std::size_t most_extents = 0, most_experts = 0;
  for (const Load& load : map.loads.loads)
    most_extents = std::max<std::size_t>(most_extents, load.extents);
  for (const ExpertMap::Layer& layer : map.layers)
    most_experts = std::max<std::size_t>(most_experts, layer.experts);
  experts->extents_.reserve(most_extents);
  experts->guesses_.reserve(most_experts);
  experts->was_kept_.reserve(most_experts);
  return experts;
}

Result<void> Experts::load(FunctionRef<void(std::uint64_t)> progress,
                           const CancellationToken& cancel) {
  if (!holds_all_) return {};
  std::uint32_t next = 0;
  for (std::uint32_t layer = 0; layer < map_.layers.size(); ++layer) {
    const ExpertMap::Layer& of = map_.layers[layer];
    for (std::uint32_t expert = of.first; expert < of.first + of.experts; ++expert) {
      OLLM_TRY_VOID(cancel.check());
      for (; next < map_.count() && next < expert + kReadsAhead; ++next)
        begin(free_slot(), next, io::ReadPriority::sweep);
      OLLM_TRY_VOID(take(layer, expert));
      align(layer, expert);
      cache_.offer(expert);
      if (progress) progress(ring_->bytes_read(slot_of_[expert]));
    }
  }
  return {};
}

void Experts::begin_sweep() {
  cache_.begin_sweep();
  guesses_.clear();
  take_back();
}

// Those that were given up are free once nothing comes any more; only then is it known what they
// read.
void Experts::take_back() {
  for (std::size_t i = 0; i < leaving_.size();) {
    const std::uint32_t slot = leaving_[i];
    if (!ring_->finished(slot)) {
      ++i;
      continue;
    }
    leaving_[i] = leaving_.back();
    leaving_.pop_back();
    counts_.wrong_bytes += ring_->bytes_read(slot) - slots_[slot].bytes_before;
    slots_[slot] = {};
    free_.push_back(slot);
  }
}

// A slot for another expert, or kNone.
std::uint32_t Experts::free_slot() {
  if (free_.empty()) take_back();
  if (free_.empty()) return kNone;
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void Experts::begin(std::uint32_t slot, std::uint32_t expert, io::ReadPriority priority) {
  OLLM_CHECK(slot != kNone);
  extents_of(map_.loads, expert, files_, extents_);
  slots_[slot] = {expert, true, false, false, ring_->bytes_read(slot)};
  slot_of_[expert] = slot;
  ring_->begin(slot, extents_, priority);
}

// Gives a slot up whose bytes nobody wants: not waited for.
void Experts::leave(std::uint32_t slot) {
  slot_of_[slots_[slot].expert] = kNone;
  slots_[slot].leaving = true;
  ring_->give_up(slot);
  leaving_.push_back(slot);
}

void Experts::free(std::uint32_t slot) {
  slot_of_[slots_[slot].expert] = kNone;
  slots_[slot] = {};
  free_.push_back(slot);
}

// What stands in slots without being kept was guessed of this layer, or begun by a sweep that
// failed.
void Experts::drop_wrong_guesses(std::uint32_t first, std::uint32_t experts,
                                 std::span<const std::uint32_t> ids) {
  guess_bytes_ = 0;
  // Those that wait are of this layer where it has none after it that guesses.
  if (!guesses_.empty() && guesses_.back() >= first && guesses_.back() - first < experts)
    guesses_.clear();
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Slot& of = slots_[slot];
    if (of.expert == kNone || of.leaving || cache_.keeps(of.expert)) continue;
    const bool wanted =
        of.expert >= first && std::binary_search(ids.begin(), ids.end(), of.expert - first);
    if (!wanted) leave(slot);
  }
}

std::size_t Experts::read_ahead(std::uint32_t first, std::span<const std::uint32_t> ids,
                                std::size_t next) {
  for (; next < ids.size(); ++next) {
    const std::uint32_t expert = first + ids[next];
    if (slot_of_[expert] != kNone) continue;
    const std::uint32_t slot = free_slot();
    if (slot == kNone) break;
    begin(slot, expert, io::ReadPriority::sweep);
  }
  return next;
}

bool Experts::may_guess() {
  take_back();
  const std::uint64_t open = guess_bytes_ + (leaving_.size() + 1) * map_.most_bytes;
  return static_cast<double>(counts_.wrong_bytes + open) <=
         kMostWrong * static_cast<double>(counts_.read_bytes);
}

void Experts::begin_guesses() {
  while (!guesses_.empty() && may_guess()) {
    if (slot_of_[guesses_.back()] == kNone) {
      const std::uint32_t slot = free_slot();
      if (slot == kNone) return;
      begin(slot, guesses_.back(), io::ReadPriority::guess);
      guess_bytes_ += map_.most_bytes;
    }
    guesses_.pop_back();
  }
}

void Experts::guess(ExpertsId layer, std::span<const std::uint32_t> ids) {
  guesses_.clear();
  if (holds_all_) return;
  const ExpertMap::Layer& of = map_.layers[layer.index];
  for (std::size_t i = ids.size(); i > 0; --i) {
    OLLM_DCHECK(ids[i - 1] < of.experts);
    guesses_.push_back(of.first + ids[i - 1]);
  }
}

// Waits for an expert, whose matrices stand in `matrices_` then.
Result<void> Experts::take(std::uint32_t layer, std::uint32_t expert) {
  Slot& slot = slots_[slot_of_[expert]];
  if (slot.reading) {
    const Result<const std::byte*> came = ring_->wait(slot_of_[expert]);
    lay_out(layer, expert);
    const std::size_t bad = came.ok() ? damaged_scales() : matrix_count_;
    if (!came.ok() || bad < matrix_count_) {
      leave(slot_of_[expert]);
      if (!came.ok()) return of_expert(came.error(), layer, expert, 0);
      return of_expert({ErrorKind::corrupt, "a scale is no number, or its weights are beyond BF16"},
                       layer, expert, bad);
    }
    counts_.read_bytes += ring_->bytes_read(slot_of_[expert]) - slot.bytes_before;
    slot.reading = false;
    return {};
  }
  lay_out(layer, expert);
  return {};
}

Error Experts::of_expert(Error error, std::uint32_t layer, std::uint32_t expert,
                         std::size_t matrix) const {
  const ExpertMatrix& of = layout_.experts[layer].form().matrices[matrix];
  const bool scaled = error.kind == ErrorKind::corrupt && !of.scales.empty();
  const std::vector<std::string>& tensors = scaled ? of.scales : of.tensors;
  const std::uint32_t id = expert - map_.layers[layer].first;
  return std::move(error).within(
      fmt::format("expert {} with tensor {}", id, tensors.size() == 1 ? tensors[0] : tensors[id]));
}

// Moves what stays in a slot down to cache lines, as direct reads leave it where it stands in its
// page of the file; where that would tear a matrix of odd size, it stays.
void Experts::align(std::uint32_t layer, std::uint32_t expert) {
  struct Piece {
    std::uint64_t from, size;
  };
  std::array<Piece, 6> pieces{};  // ascending
  std::size_t count = 0;
  const auto add = [&](const Piece& piece) {
    std::size_t at = count++;
    for (; at > 0 && pieces[at - 1].from > piece.from; --at) pieces[at] = pieces[at - 1];
    pieces[at] = piece;
  };
  const ExpertMap::Layer& of = map_.layers[layer];
  const Laid::Place* places =
      map_.places.data() + of.first_place + std::size_t{expert - of.first} * of.matrices;
  for (std::size_t i = 0; i < matrix_count_; ++i) {
    const backend::WeightRows& rows = matrices_[i];
    add({places[i].data, size_bytes(rows.format, rows.rows * rows.cols)});
    if (rows.scales != nullptr) add({places[i].scales, scale_count(rows)});
  }
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (aligned(pieces[i].from) < end) return;
    end = aligned(pieces[i].from) + pieces[i].size;
  }
  std::byte* slot = memory_of(slot_of_[expert]);
  for (std::size_t i = 0; i < count; ++i)
    std::memmove(slot + aligned(pieces[i].from), slot + pieces[i].from, pieces[i].size);
  slots_[slot_of_[expert]].aligned = true;
  lay_out(layer, expert);
}

void Experts::lay_out(std::uint32_t layer, std::uint32_t expert) {
  const ExpertMap::Layer& of = map_.layers[layer];
  const std::vector<ExpertMatrix>& matrices = layout_.experts[layer].form().matrices;
  const std::byte* slot = memory_of(slot_of_[expert]);
  const Laid::Place* places =
      map_.places.data() + of.first_place + std::size_t{expert - of.first} * of.matrices;
  matrix_count_ = of.matrices;
  for (std::size_t i = 0; i < matrix_count_; ++i) {
    const ExpertMatrix& matrix = matrices[i];
    const Laid::Place place = slots_[slot_of_[expert]].aligned ? aligned(places[i]) : places[i];
    matrices_[i] = {slot + place.data, matrix.format, matrix.rows, matrix.cols,
                    matrix.scales.empty() ? nullptr : slot + place.scales};
  }
}

// The first matrix of what was just read whose scales are no numbers, from which no answer follows;
// matrix_count_ where all are.
std::size_t Experts::damaged_scales() const {
  for (std::size_t i = 0; i < matrix_count_; ++i) {
    const backend::WeightRows& rows = matrices_[i];
    if (rows.scales == nullptr) continue;
    if (!scales_are_valid(rows.format, {rows.scales, scale_count(rows)})) return i;
  }
  return matrix_count_;
}

// An expert was used. Where it was not kept, it may be from now on, in another's place.
void Experts::done(std::uint32_t expert, bool was_kept) {
  if (was_kept) {
    cache_.release(expert);
    return;
  }
  if (slot_of_[expert] == kNone) return;  // it could not be read
  const ExpertCache::Admission admission = cache_.offer(expert);
  if (!admission.kept) free(slot_of_[expert]);
  if (admission.instead_of) free(slot_of_[*admission.instead_of]);
}

void Experts::begin_use(std::uint32_t layer, std::span<const std::uint32_t> ids) {
  const std::uint32_t first = map_.layers[layer].first;
  was_kept_.clear();
  counts_.wanted += ids.size();
  for (const std::uint32_t id : ids) {
    cache_.want(first + id);
    const bool kept = cache_.keeps(first + id);
    was_kept_.push_back(kept);
    if (kept) {
      ++counts_.hits;
      cache_.hold(first + id);
    } else if (slot_of_[first + id] != kNone) {
      ++counts_.guessed;
    }
  }
  if (holds_all_) return;
  drop_wrong_guesses(first, map_.layers[layer].experts, ids);
  take_back();
}

// All slots may be on their way to nobody, or to experts that come later: one is waited for.
void Experts::make_room(std::uint32_t first, std::span<const std::uint32_t> later) {
  for (std::size_t i = later.size(); i > 0 && leaving_.empty(); --i) {
    const std::uint32_t slot = slot_of_[first + later[i - 1]];
    if (slot != kNone && !cache_.keeps(first + later[i - 1])) leave(slot);
  }
  OLLM_CHECK(!leaving_.empty());
  ring_->settle(leaving_.front());
}

Result<void> Experts::use(ExpertsId layer, std::span<const std::uint32_t> ids,
                          FunctionRef<Result<void>(std::uint32_t, const ExpertWeights&)> fn) {
  const std::uint32_t first = map_.layers[layer.index].first;
  begin_use(layer.index, ids);
  std::size_t next = 0;
  Result<void> result = {};
  std::size_t i = 0;
  for (; i < ids.size() && result.ok(); ++i) {
    next = read_ahead(first, ids, next);
    if (next == i && next < ids.size() && slot_of_[first + ids[i]] == kNone) {
      make_room(first, ids.subspan(i + 1));
      next = read_ahead(first, ids, next);
    }
    if (next == ids.size()) begin_guesses();
    result = take(layer.index, first + ids[i]);
    // What is met again is worth the move.
    if (result.ok() && was_kept_[i] && !slots_[slot_of_[first + ids[i]]].aligned)
      align(layer.index, first + ids[i]);
    if (result.ok()) result = fn(ids[i], {{matrices_.data(), matrix_count_}});
    done(first + ids[i], was_kept_[i]);
  }
  // Of a sweep that failed: what is kept is nobody's any more; the rest is dropped by the next use.
  for (; i < ids.size(); ++i)
    if (was_kept_[i]) cache_.release(first + ids[i]);
  return result;
}

}  // namespace ollm::weights
