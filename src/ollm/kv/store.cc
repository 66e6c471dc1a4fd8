#include "ollm/kv/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/text_size.h"
#include "ollm/kv/strategies.h"

namespace ollm::kv {

using backend::kTileTokens;

// BlockRef ----------------------------------------------------------------------------------------

BlockRef::BlockRef(const BlockRef& other)
    : store_(other.store_), group_(other.group_), index_(other.index_) {
  if (store_ != nullptr) ++store_->groups_[group_].references[index_];
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
  Store::Group& group = store_->groups_[group_];
  OLLM_CHECK(group.references[index_] > 0);
  if (--group.references[index_] == 0) group.free.push_back(index_);
}

std::uint32_t BlockRef::count() const {
  return store_ == nullptr ? 0 : store_->groups_[group_].references[index_];
}

// Store -------------------------------------------------------------------------------------------

Store::Store(Options options) : options_(std::move(options)) {
  for (std::size_t i = 0; i < options_.layers.size(); ++i) {
    const LayerOptions& layer = options_.layers[i];
    if (layer.of_layer) {
      OLLM_CHECK(*layer.of_layer < i && places_[*layer.of_layer].stores);
      places_.push_back(places_[*layer.of_layer]);
      places_.back().stores = false;
      continue;
    }
    const std::size_t group = group_of(layer);
    std::size_t& bytes = groups_[group].block_bytes;
    places_.push_back({group, bytes, layer.layout.tile_bytes(), true});
    bytes += round_up(layer.layout.tile_bytes() * (options_.block_tokens / kTileTokens),
                      io::File::kDirectAlignment);
  }
}

// The group of such layers, made where it is the first.
std::size_t Store::group_of(const LayerOptions& layer) {
  const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const Group& group) {
    return group.layout == layer.layout && group.window == layer.window;
  });
  if (found != groups_.end()) return static_cast<std::size_t>(found - groups_.begin());
  Group& group = groups_.emplace_back();
  group.layout = layer.layout;
  group.window = layer.window;
  return groups_.size() - 1;
}

Result<std::unique_ptr<Store>> Store::make(Options options, memory::Budget& budget) {
  const Strategy* strategy = find_strategy(options.strategy);
  if (strategy == nullptr || !strategy->built) {
    return fail(ErrorKind::unsupported,
                fmt::format("KV strategy '{}' is not built; 'resident' is", options.strategy));
  }
  OLLM_CHECK(options.block_tokens > 0 && options.block_tokens % kTileTokens == 0);
  std::unique_ptr<Store> store(new Store(std::move(options)));
  const std::size_t blocks = store->options_.max_blocks;
  const auto bytes = checked_mul(block_bytes(store->options_), std::uint64_t{blocks});
  if (!bytes) return fail(ErrorKind::out_of_budget, fmt::format("{} KV blocks overflow", blocks));
  OLLM_TRY(store->storage_, memory::Buffer::make(budget, "kv", *bytes));
  std::size_t first_byte = 0;
  for (Group& group : store->groups_) {
    group.first_byte = first_byte;
    first_byte += group.block_bytes * blocks;
    group.references.assign(blocks, 0);
    group.dirty.assign(blocks, false);
    group.free.reserve(blocks);
    for (std::size_t i = blocks; i-- > 0;) group.free.push_back(static_cast<std::uint32_t>(i));
  }
  return store;
}

Error Store::full() const {
  return fail(
      ErrorKind::out_of_budget,
      fmt::format("all {} KV blocks of {} are in use: the planned context and sequences are full",
                  options_.max_blocks, format_bytes(block_bytes(options_))));
}

BlockRef Store::take(std::size_t group_index) {
  Group& group = groups_[group_index];
  OLLM_CHECK(!group.free.empty());
  const std::uint32_t index = group.free.back();
  group.free.pop_back();
  group.references[index] = 1;
  BlockRef block(this, static_cast<std::uint32_t>(group_index), index);
  if (group.dirty[index]) std::memset(data(block), 0, group.block_bytes);
  group.dirty[index] = true;
  return block;
}

BlockRef Store::copy(const BlockRef& block) {
  BlockRef made = take(block.group_);
  std::memcpy(data(made), data(block), groups_[block.group_].block_bytes);
  return made;
}

std::byte* Store::data(const BlockRef& block) {
  const Group& group = groups_[block.group_];
  return storage_.data() + group.first_byte + block.index_ * group.block_bytes;
}

}  // namespace ollm::kv
