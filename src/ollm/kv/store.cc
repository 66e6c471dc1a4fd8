#include "ollm/kv/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/text_size.h"
#include "ollm/io/slot_ring.h"
#include "ollm/kv/strategies.h"
#include "ollm/kv/sweep_reads.h"

namespace ollm::kv {

using backend::kTileTokens;

// BlockRef ----------------------------------------------------------------------------------------

BlockRef::BlockRef(const BlockRef& other)
    : store_(other.store_), group_(other.group_), index_(other.index_) {
  if (store_ != nullptr) ++store_->at(*this).references;
}

BlockRef::BlockRef(BlockRef&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), group_(other.group_), index_(other.index_) {}

BlockRef& BlockRef::operator=(BlockRef other) noexcept {
  std::swap(store_, other.store_);
  std::swap(group_, other.group_);
  std::swap(index_, other.index_);
  return *this;
}

BlockRef::~BlockRef() {
  if (store_ == nullptr) return;
  std::uint32_t& references = store_->at(*this).references;
  OLLM_CHECK(references > 0);
  if (--references == 0) store_->release(group_, index_);
}

std::uint32_t BlockRef::count() const {
  return store_ == nullptr ? 0 : store_->at(*this).references;
}

// Making ------------------------------------------------------------------------------------------

Store::Store(Options options, const Disk& disk)
    : options_(std::move(options)), disk_(disk), quantizes_(kv::quantizes(options_)) {
  places_.resize(options_.layers.size());
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (!options_.layers[i].recurrent) place_layer(i);
  tables_ = groups_.size();
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (options_.layers[i].recurrent) place_layer(i);
}

void Store::place_layer(std::size_t index) {
  const LayerOptions& layer = options_.layers[index];
  LayerPlace& place = places_[index];
  if (layer.of_layer) {
    OLLM_CHECK(*layer.of_layer < index && places_[*layer.of_layer].stores &&
               !options_.layers[*layer.of_layer].recurrent);
    place = places_[*layer.of_layer];
    place.stores = false;
    return;
  }
  place.group = group_of(layer);
  Group& group = groups_[place.group];
  place.index = group.layers++;
  place.offset = group.block_bytes;
  place.tile_bytes = layer.recurrent ? 0 : layer.layout.tile_bytes();
  group.block_bytes += group.part_bytes;
}

// The group of such layers, made where it is the first.
std::size_t Store::group_of(const LayerOptions& layer) {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [&](const Group& group) { return store_alike(group.of, layer); });
  if (found != groups_.end()) return static_cast<std::size_t>(found - groups_.begin());
  Group& group = groups_.emplace_back();
  group.of = layer;
  group.block_tokens = layer.recurrent ? kChunkTokens : options_.block_tokens;
  group.kind = layer.recurrent ? BlockKind::states : BlockKind::keys_and_values;
  group.part_bytes = kv::part_bytes(options_, layer);
  group.full_bytes = stored_part_bytes(options_, layer);
  group.forgets = kv::forgets(options_, layer);
  group.blocks.resize(blocks_of(options_, layer));
  group.frames = frames_of(options_, layer);
  group.spills = group.frames < group.blocks.size();
  return groups_.size() - 1;
}

void Store::make_blocks() {
  std::size_t first_byte = 0;
  for (Group& group : groups_) {
    const std::size_t blocks = group.blocks.size();
    group.first_byte = first_byte;
    first_byte += group.block_bytes * group.frames;
    group.dirty.assign(group.frames, false);
    group.free.reserve(blocks);
    for (std::size_t i = blocks; i-- > 0;) group.free.push_back(static_cast<std::uint32_t>(i));
    group.free_frames.reserve(group.frames);
    for (std::size_t i = group.frames; i-- > 0;)
      group.free_frames.push_back(static_cast<std::uint32_t>(i));
    if (!has_pool()) continue;
    group.tokens.resize(blocks * group.block_tokens);
    group.checksums.resize(blocks * group.layers);
  }
}

Result<std::unique_ptr<Store>> Store::make(Options options, memory::Budget& budget,
                                           const Disk& disk) {
  if (find_strategy(options.strategy) == nullptr)
    return fail(ErrorKind::unsupported, fmt::format("no KV strategy is '{}'", options.strategy));
  OLLM_CHECK(options.block_tokens > 0 && options.block_tokens % kTileTokens == 0);
  OLLM_CHECK(options.entry_tokens > 0);
  OLLM_CHECK(options.pool.has_value() == (disk.pool != nullptr));
  if (!options.pool) options.frames = options.max_blocks;
  options.frames = std::min(options.frames, options.max_blocks);
  std::unique_ptr<Store> store(new Store(std::move(options), disk));
  const Options& made = store->options_;
  const std::uint64_t blocks = made.frames;
  if (!checked_mul(block_bytes(made), blocks))
    return fail(ErrorKind::out_of_budget, fmt::format("{} KV blocks overflow", blocks));
  OLLM_TRY(store->storage_, memory::Buffer::make(budget, "kv", frames_bytes(made)));
  store->frames_ = store->has_pool() ? io::aligned_for_reads(store->storage_.bytes()).data()
                                     : store->storage_.data();
  store->make_blocks();
  const CodeMemory codes = code_memory(made);
  if (codes.all() != 0) {
    OLLM_TRY(store->code_memory_, memory::Buffer::make(budget, "kv codes", codes.all()));
  }
  if (!store->has_pool()) return store;
  store->root_ = root_id();
  store->decoded_ = store->code_memory_.data() + codes.seen;
  store->writer_ =
      std::make_unique<BlockWriter>(*disk.pool, store->codes_, store->decoded_ + codes.decoded);
  OLLM_TRY(store->reads_, SweepReads::make(*store, *disk.reads, budget));
  return store;
}

Store::~Store() {
  if (!writer_) return;  // as it was not made to its end, too
  wait_for_commits();
}

bool Store::forgets_some() const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const Group& group) { return group.forgets; });
}

// Blocks and frames -------------------------------------------------------------------------------

Error Store::full() const {
  return fail(
      ErrorKind::out_of_budget,
      fmt::format("all {} KV blocks of {} are in use: the planned context and sequences are full",
                  options_.max_blocks, format_bytes(block_bytes(options_))));
}

std::byte* Store::frame_data(const Group& group, std::int32_t frame) {
  return frames_ + group.first_byte + static_cast<std::size_t>(frame) * group.block_bytes;
}

BlockRef Store::take(std::size_t group_index) {
  Group& group = groups_[group_index];
  OLLM_CHECK(!group.free.empty());
  const std::uint32_t index = group.free.back();
  group.free.pop_back();
  Block& block = group.blocks[index];
  block = Block();
  block.references = 1;
  BlockRef ref(this, static_cast<std::uint32_t>(group_index), index);
  if (!group.spills) OLLM_CHECK(give_frame(ref).ok());
  return ref;
}

void Store::release(std::uint32_t group_index, std::uint32_t index) {
  Group& group = groups_[group_index];
  Block& block = group.blocks[index];
  if (block.frame >= 0) group.free_frames.push_back(static_cast<std::uint32_t>(block.frame));
  give_up(block);
  block = Block();
  group.free.push_back(index);
}

Result<BlockRef> Store::copy(const BlockRef& block) {
  const Group& group = groups_[block.group_];
  BlockRef made = take(block.group_);
  OLLM_TRY_VOID(give_frame(made));  // which may be the block's own
  if (in_memory(block)) {
    std::memcpy(data(made), data(block), group.block_bytes);
    return made;
  }
  for (std::size_t layer = 0; layer < group.layers; ++layer)
    OLLM_TRY_VOID(read_part(block, layer, data(made) + layer * group.part_bytes));
  return made;
}

bool Store::in_memory(const BlockRef& block, std::size_t layers) const {
  const Block& entry = at(block);
  return entry.frame >= 0 && (entry.tokens == 0 || entry.loaded >= layers);
}

bool Store::in_memory(const BlockRef& block) const {
  return in_memory(block, groups_[block.group_].layers);
}

bool Store::has_frame(const BlockRef& block) const { return at(block).frame >= 0; }

std::byte* Store::data(const BlockRef& block) {
  OLLM_DCHECK(at(block).frame >= 0);
  return frame_data(groups_[block.group_], at(block).frame);
}

// Of the sealed blocks with a frame the one of the highest position, or of the lowest where it will
// be forgotten first: of those that are written, or of those that still have to be.
std::optional<std::uint32_t> Store::victim(const Group& group, bool written) const {
  std::optional<std::uint32_t> found;
  for (std::uint32_t i = 0; i < group.blocks.size(); ++i) {
    const Block& block = group.blocks[i];
    if (block.references == 0 || block.frame < 0 || block.tokens == 0) continue;
    const bool fits = written ? block.on_disk == OnDisk::yes
                              : block.on_disk == OnDisk::no || block.on_disk == OnDisk::failed;
    if (!fits) continue;
    const bool further = found && (group.forgets ? block.position < group.blocks[*found].position
                                                 : block.position > group.blocks[*found].position);
    if (!found || further) found = i;
  }
  return found;
}

Result<void> Store::free_a_frame(std::uint32_t group_index) {
  Group& group = groups_[group_index];
  const auto failed = [](const Group& of, std::uint32_t index) {
    return of.blocks[index].on_disk == OnDisk::failed;
  };
  while (group.free_frames.empty()) {
    take_done();
    if (const auto index = victim(group, /*written=*/true)) {
      Block& block = group.blocks[*index];
      group.free_frames.push_back(static_cast<std::uint32_t>(block.frame));
      block.frame = -1;
      block.loaded = block.requested = 0;
      continue;
    }
    const auto unwritten = victim(group, /*written=*/false);
    if (!writing()) {
      if (!unwritten) return full();
      const bool again = failed(group, *unwritten);
      begin_write(group_index, *unwritten);
      wait_for_writes();
      if (again && failed(group, *unwritten)) {
        return write_error_.value_or(full()).within(
            "keys and values that memory has no room for could not be written");
      }
      continue;
    }
    if (unwritten && !failed(group, *unwritten)) begin_write(group_index, *unwritten);
    if (auto done = writer_->wait()) finish(*done);
  }
  return {};
}

Result<void> Store::give_frame(const BlockRef& ref) {
  Block& block = at(ref);
  if (block.frame >= 0) return {};
  Group& group = groups_[ref.group_];
  if (group.free_frames.empty()) OLLM_TRY_VOID(free_a_frame(ref.group_));
  const std::uint32_t frame = group.free_frames.back();
  group.free_frames.pop_back();
  block.frame = static_cast<std::int32_t>(frame);
  if (group.dirty[frame] && block.tokens == 0)
    std::memset(frame_data(group, block.frame), 0, group.block_bytes);
  group.dirty[frame] = true;
  return {};
}

bool Store::give_spare_frame(const BlockRef& ref) {
  const Group& group = groups_[ref.group_];
  const std::size_t kept = group.spills ? options_.tail_frames : 0;
  return group.free_frames.size() > kept && give_frame(ref).ok();
}

// One layer of a block that is on disk, zeros behind what was stored of it. Codes are read by
// SweepReads alone: who opens a block again needs what was written into it.
Result<void> Store::read_part(const BlockRef& ref, std::size_t layer, std::byte* out) {
  const BlockPlace& place = at(ref).place;
  OLLM_CHECK(!holds_codes(groups_[ref.group_], at(ref).tokens));
  Result<void> read =
      place.file->read_at(place.offset + layer * place.stride, {out, place.part_bytes});
  if (read.ok() && !holds(ref, layer, out))
    read = fail(ErrorKind::corrupt, "a stored block of keys and values is damaged");
  if (!read.ok()) {
    damaged(ref);
    return read;
  }
  loaded_bytes_ += place.part_bytes;
  std::memset(out + place.part_bytes, 0, part_bytes(ref.group_) - place.part_bytes);
  return {};
}

Result<void> Store::load(const BlockRef& ref) {
  if (in_memory(ref)) return {};
  OLLM_TRY_VOID(give_frame(ref));
  Block& block = at(ref);
  const Group& group = groups_[ref.group_];
  for (; block.loaded < group.layers; ++block.loaded)
    OLLM_TRY_VOID(read_part(ref, block.loaded, data(ref) + block.loaded * group.part_bytes));
  block.requested = block.loaded;
  return {};
}

// What later rows see -----------------------------------------------------------------------------

void Store::quantize(const BlockRef& ref) {
  const Group& group = groups_[ref.group_];
  OLLM_DCHECK(at(ref).tokens == 0);
  const std::size_t tiles = options_.block_tokens / kTileTokens;
  for (std::size_t layer = 0; layer < group.layers; ++layer) {
    std::byte* tile = data(ref) + layer * group.part_bytes;
    for (std::size_t i = 0; i < tiles; ++i, tile += group.of.layout.tile_bytes())
      codes_.quantize(group.of.layout, tile, tile);
  }
}

const std::byte* Store::quantized_part(const BlockRef& ref, const LayerPlace& place) {
  const Group& group = groups_[ref.group_];
  const std::byte* tile = data(ref) + place.offset;
  std::byte* out = code_memory_.data();
  for (std::size_t i = 0; i < options_.block_tokens / kTileTokens; ++i) {
    codes_.quantize(group.of.layout, tile, out);
    tile += place.tile_bytes;
    out += place.tile_bytes;
  }
  return code_memory_.data();
}

}  // namespace ollm::kv
