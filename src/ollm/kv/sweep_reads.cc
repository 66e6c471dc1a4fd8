#include "ollm/kv/sweep_reads.h"

#include <algorithm>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/io/slot_ring.h"
#include "ollm/kv/line.h"

namespace ollm::kv {
namespace {

// Reads of one piece, and pieces on their way into frames beside those in the ring.
constexpr std::size_t kMostReads = 32;
constexpr std::size_t kFramePieces = 8;
// Bytes of such a piece, about.
constexpr std::size_t kFramePieceBytes = std::size_t{2} << 20;
// Of one read.
constexpr std::size_t kReadBytes = std::size_t{2} << 20;

}  // namespace

SweepReads::SweepReads(Store& store, io::ReadQueue& queue)
    : store_(store), queue_(queue), slots_(store.options().ring_slots) {
  const std::size_t pieces = slots_ + kFramePieces;
  pieces_.resize(pieces);
  requests_ = std::vector<io::ReadRequest>(pieces);
  reads_.resize(pieces * kMostReads);
}

Result<std::unique_ptr<SweepReads>> SweepReads::make(Store& store, io::ReadQueue& queue,
                                                     memory::Budget& budget) {
  std::unique_ptr<SweepReads> made(new SweepReads(store, queue));
  const Options& options = store.options();
  if (options.ring_slots == 0) {
    OLLM_CHECK(!options.spills() && !store.quantizes());
    return made;
  }
  OLLM_TRY(made->memory_, memory::Buffer::make(budget, "kv ring", kv::ring_bytes(options)));
  made->ring_ = io::aligned_for_reads(made->memory_.bytes()).data();
  return made;
}

SweepReads::~SweepReads() { forget(); }

std::byte* SweepReads::slot(std::uint64_t number) {
  return ring_ + number % slots_ * store_.options().slot_bytes;
}

void SweepReads::forget() {
  for (io::ReadRequest& request : requests_) queue_.give_up(request);
  for (io::ReadRequest& request : requests_) wait_seconds_ += queue_.drop(request);
  begun_ = used_ = ring_begun_ = ring_used_ = 0;
  held_ = false;
}

void SweepReads::begin(std::span<const SweepLine> lines) {
  forget();
  lines_.assign(lines.begin(), lines.end());
  for (Store::Group& group : store_.groups_)
    for (Store::Block& block : group.blocks) block.requested = block.loaded;
  layer_ = line_ = 0;
  at_line_begin_ = true;
  fill();
}

void SweepReads::end() {
  release_held();
  forget();
  lines_.clear();
  layer_ = store_.options().layers.size();
}

// Whether the block that is looked at is one that the line's rows may see and that is sealed.
bool SweepReads::in_range(const SweepLine& line) const {
  return block_ < line.line->tokens() / store_.options().block_tokens;
}

// Goes on to the next block that has to be read; false where there is none.
bool SweepReads::next_to_read() {
  const std::size_t layers = store_.options().layers.size();
  for (; layer_ < layers; ++layer_, line_ = 0) {
    const LayerPlace& place = store_.place(layer_);
    if (place.group >= store_.tables()) continue;  // states are in memory
    for (; line_ < lines_.size(); ++line_, at_line_begin_ = true) {
      const SweepLine& line = lines_[line_];
      if (at_line_begin_) {
        block_ = line.line->first_seen(layer_) / store_.options().block_tokens;
        at_line_begin_ = false;
      }
      for (; in_range(line); ++block_) {
        const Store::Block& block = store_.at(line.line->block(place.group, block_));
        if (block.tokens == 0) continue;
        if (block.frame < 0 || block.requested <= place.index) return true;
      }
    }
    at_line_begin_ = true;
  }
  return false;
}

bool SweepReads::begin_piece() {
  const SweepLine& line = lines_[line_];
  const LayerPlace& place = store_.place(layer_);
  const Store::Group& group = store_.groups_[place.group];
  const auto entry = [&](std::size_t block) -> Store::Block& {
    return store_.at(line.line->block(place.group, block));
  };
  const bool has_frames = entry(block_).frame >= 0;
  Piece piece{line.line, layer_, block_, 0, has_frames, !has_frames || store_.quantizes()};
  if (piece.in_ring && ring_begun_ - ring_used_ == slots_) return false;
  const std::size_t most_bytes = piece.in_ring ? store_.options().slot_bytes : kFramePieceBytes;
  const std::size_t number = begun_ % pieces_.size();
  io::ReadRequest& request = requests_[number];
  const std::span<io::QueuedRead> free = std::span(reads_).subspan(number * kMostReads, kMostReads);
  std::byte* next_in_ring = piece.in_ring ? slot(ring_begun_) : nullptr;
  std::size_t used = 0;
  std::size_t bytes = 0;
  wait_seconds_ += queue_.drop(request);
  for (; in_range(line); ++block_) {
    Store::Block& block = entry(block_);
    const std::size_t part = block.place.part_bytes;
    const bool unread = block.tokens != 0 && (block.frame < 0 || block.requested <= place.index);
    if (!unread || (block.frame >= 0) != piece.has_frames) break;
    if (bytes != 0 && bytes + part > most_bytes) break;
    const std::uint64_t offset = block.place.offset + place.index * block.place.stride;
    std::byte* out = piece.in_ring
                         ? next_in_ring
                         : store_.frame_data(group, block.frame) + place.index * group.part_bytes;
    io::QueuedRead* last = used > 0 ? &free[used - 1] : nullptr;
    if (last != nullptr && last->file == block.place.file && last->offset + last->size == offset &&
        last->out + last->size == out && last->size + part <= kReadBytes) {
      last->size += part;
      last->needed += part;
    } else {
      if (used == free.size()) break;
      io::QueuedRead& read = free[used++];
      read.file = block.place.file;
      read.offset = offset;
      read.out = out;
      read.size = read.needed = part;
    }
    if (piece.in_ring) next_in_ring += part;
    block.requested =
        static_cast<std::uint32_t>(std::max<std::size_t>(block.requested, place.index + 1));
    bytes += part;
    ++piece.blocks;
  }
  for (io::QueuedRead& read : free.first(used)) io::ReadQueue::add(request, read);
  queue_.begin(request, io::ReadPriority::sweep);
  pieces_[number] = piece;
  ++begun_;
  if (piece.in_ring) ++ring_begun_;
  return true;
}

void SweepReads::fill() {
  while (begun_ - used_ < pieces_.size()) {
    if (!next_to_read() || !begin_piece()) return;
  }
}

void SweepReads::release_front() {
  if (pieces_[used_ % pieces_.size()].in_ring) ++ring_used_;
  ++used_;
}

void SweepReads::release_held() {
  if (!held_) return;
  held_ = false;
  release_front();
}

// One layer's part of a block, from its codes.
void SweepReads::decode(const Store::Group& group, const std::byte* part, std::byte* out) const {
  for (std::size_t i = 0; i < store_.options().block_tokens / backend::kTileTokens; ++i) {
    store_.codes_.decode(group.of.layout, part, out);
    part += backend::code_bytes(group.of.layout);
    out += group.of.layout.tile_bytes();
  }
}

Result<void> SweepReads::check(const Piece& piece) {
  const LayerPlace& place = store_.place(piece.layer);
  const Store::Group& group = store_.groups_[place.group];
  const std::byte* in_ring = piece.in_ring ? slot(ring_used_) : nullptr;
  for (std::size_t i = 0; i < piece.blocks; ++i) {
    const BlockRef& ref = piece.line->block(place.group, piece.first_block + i);
    Store::Block& block = store_.at(ref);
    std::byte* const out =
        piece.has_frames ? store_.frame_data(group, block.frame) + place.index * group.part_bytes
                         : store_.decoded_ + i * group.part_bytes;  // of codes only
    const std::byte* bytes = piece.in_ring ? in_ring : out;
    if (!store_.holds(ref, place.index, bytes)) {
      blamed_ = piece.first_block + i;
      store_.damaged(ref);
      return fail(ErrorKind::corrupt, "a stored block of keys and values is damaged");
    }
    if (store_.quantizes()) decode(group, bytes, out);
    if (piece.in_ring) in_ring += block.place.part_bytes;
    if (piece.has_frames) block.loaded = static_cast<std::uint32_t>(place.index + 1);
  }
  return {};
}

Result<SweepReads::Arrived> SweepReads::take(const Line& line, std::size_t layer,
                                             std::size_t block) {
  release_held();
  fill();
  // What was read ahead and is not walked over is passed by.
  while (used_ < begun_) {
    const Piece& front = pieces_[used_ % pieces_.size()];
    if (front.line == &line && front.layer == layer && front.first_block == block) break;
    wait_seconds_ += queue_.drop(requests_[used_ % pieces_.size()]);
    release_front();
    fill();
  }
  OLLM_CHECK(used_ < begun_);
  const std::size_t number = used_ % pieces_.size();
  const Piece piece = pieces_[number];
  io::ReadRequest& request = requests_[number];
  wait_seconds_ += queue_.finish(request);
  held_ = true;
  if (request.error()) {
    blamed_ = piece.first_block;
    store_.damaged(line.block(store_.place(layer).group, blamed_));
    return *request.error();
  }
  OLLM_TRY_VOID(check(piece));
  if (piece.has_frames) return Arrived{piece.blocks, nullptr};
  return Arrived{piece.blocks, store_.quantizes() ? store_.decoded_ : slot(ring_used_)};
}

std::uint64_t SweepReads::bytes_read() const {
  std::uint64_t sum = 0;
  for (const io::ReadRequest& request : requests_) sum += request.bytes_read();
  return sum;
}

}  // namespace ollm::kv
