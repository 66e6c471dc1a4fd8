#include "ollm/kv/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/text_size.h"

namespace ollm::kv {

using backend::kTileTokens;

std::uint64_t block_bytes(const Options& options) {
  std::uint64_t bytes = 0;
  for (const backend::KvLayout& layer : options.layers)
    bytes += layer.tile_bytes() * (options.block_tokens / kTileTokens);
  return bytes;
}

std::size_t blocks_for_tokens(const Options& options, std::size_t tokens) {
  return ceil_div(tokens, options.block_tokens);
}

// BlockRef ----------------------------------------------------------------------------------------

BlockRef::BlockRef(const BlockRef& other) : store_(other.store_), index_(other.index_) {
  if (store_ != nullptr) ++store_->references_[index_];
}

BlockRef::BlockRef(BlockRef&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), index_(other.index_) {}

BlockRef& BlockRef::operator=(BlockRef other) noexcept {
  std::swap(store_, other.store_);
  std::swap(index_, other.index_);
  return *this;
}

BlockRef::~BlockRef() {
  if (store_ != nullptr) store_->release(index_);
}

std::uint32_t BlockRef::count() const {
  return store_ == nullptr ? 0 : store_->references_[index_];
}

// Store -------------------------------------------------------------------------------------------

Store::Store(Options options) : options_(std::move(options)) {
  std::size_t offset = 0;
  for (const backend::KvLayout& layer : options_.layers) {
    layer_offset_.push_back(offset);
    offset += layer.tile_bytes() * (options_.block_tokens / kTileTokens);
  }
  block_bytes_ = offset;
}

Result<std::unique_ptr<Store>> Store::make(Options options, memory::Budget& budget) {
  if (options.strategy != "resident") {
    return fail(ErrorKind::unsupported,
                fmt::format("KV strategy '{}' is not built; 'resident' is", options.strategy));
  }
  OLLM_CHECK(options.block_tokens > 0 && options.block_tokens % kTileTokens == 0);
  std::unique_ptr<Store> store(new Store(std::move(options)));
  const std::size_t blocks = store->options_.max_blocks;
  const auto bytes = checked_mul(store->block_bytes_, blocks);
  if (!bytes) return fail(ErrorKind::out_of_budget, fmt::format("{} KV blocks overflow", blocks));
  OLLM_TRY(store->storage_, memory::Buffer::make(budget, "kv", *bytes));
  store->references_.assign(blocks, 0);
  store->dirty_.assign(blocks, false);
  store->free_.reserve(blocks);
  for (std::size_t i = blocks; i-- > 0;) store->free_.push_back(static_cast<std::uint32_t>(i));
  return store;
}

Error Store::full() const {
  return fail(
      ErrorKind::out_of_budget,
      fmt::format("all {} KV blocks of {} are in use: the planned context and sequences are full",
                  options_.max_blocks, format_bytes(block_bytes_)));
}

Result<BlockRef> Store::take() {
  if (free_.empty()) return full();
  const std::uint32_t index = free_.back();
  free_.pop_back();
  references_[index] = 1;
  if (dirty_[index]) std::memset(storage_.data() + index * block_bytes_, 0, block_bytes_);
  dirty_[index] = true;
  return BlockRef(this, index);
}

void Store::release(std::uint32_t index) {
  OLLM_CHECK(references_[index] > 0);
  if (--references_[index] == 0) free_.push_back(index);
}

std::byte* Store::tile(std::uint32_t block, std::size_t layer, std::size_t tile_in_block) {
  return storage_.data() + block * block_bytes_ + layer_offset_[layer] +
         tile_in_block * options_.layers[layer].tile_bytes();
}

// Sequence ----------------------------------------------------------------------------------------

Result<void> Sequence::reserve(std::size_t tokens) {
  const std::size_t needed = blocks_for_tokens(store_->options_, tokens);
  const std::size_t had = blocks_.size();
  blocks_.reserve(needed);
  tiles_.reserve(needed * (store_->options_.block_tokens / kTileTokens));
  while (blocks_.size() < needed) {
    Result<BlockRef> block = store_->take();
    if (!block.ok()) {
      blocks_.resize(had);
      return std::move(block).error();
    }
    blocks_.push_back(std::move(block).value());
  }
  return {};
}

std::byte* Sequence::tile_for_write(std::size_t layer, std::size_t token) {
  const std::size_t block_tokens = store_->options_.block_tokens;
  OLLM_CHECK(token >= tokens_ && token < blocks_.size() * block_tokens);
  const BlockRef& block = blocks_[token / block_tokens];
  OLLM_DCHECK(block.count() == 1);
  return store_->tile(block.index_, layer, token % block_tokens / kTileTokens);
}

void Sequence::commit(std::size_t count) {
  OLLM_CHECK(tokens_ + count <= blocks_.size() * store_->options_.block_tokens);
  tokens_ += count;
}

void Sequence::walk(std::size_t layer, std::size_t first_token, std::size_t end_token) {
  layer_ = layer;
  next_tile_ = first_token / kTileTokens;
  end_tile_ = ceil_div(end_token, kTileTokens);
  OLLM_CHECK(end_tile_ <= blocks_.size() * (store_->options_.block_tokens / kTileTokens));
}

Result<TileRun> Sequence::next_run() {
  const std::size_t tiles_per_block = store_->options_.block_tokens / kTileTokens;
  const std::size_t first_token = next_tile_ * kTileTokens;
  tiles_.clear();
  for (; next_tile_ < end_tile_; ++next_tile_) {
    const BlockRef& block = blocks_[next_tile_ / tiles_per_block];
    tiles_.push_back(store_->tile(block.index_, layer_, next_tile_ % tiles_per_block));
  }
  return TileRun{tiles_, first_token, true};
}

Result<Sequence> Sequence::fork(std::size_t tokens) const {
  OLLM_CHECK(tokens <= tokens_);
  Sequence copy(*store_);
  const std::size_t full = tokens / store_->options_.block_tokens;
  copy.blocks_.assign(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(full));
  if (tokens % store_->options_.block_tokens != 0) {
    OLLM_TRY(BlockRef tail, store_->take());
    std::memcpy(store_->tile(tail.index_, 0, 0), store_->tile(blocks_[full].index_, 0, 0),
                store_->block_bytes_);
    copy.blocks_.push_back(std::move(tail));
  }
  copy.tokens_ = tokens;
  copy.tiles_.reserve(copy.blocks_.size() * (store_->options_.block_tokens / kTileTokens));
  return copy;
}

Result<void> Sequence::restart(std::size_t kept, std::size_t tokens) {
  OLLM_CHECK(kept <= tokens_ && kept <= tokens);
  const std::size_t block_tokens = store_->options_.block_tokens;
  const std::size_t kept_blocks = ceil_div(kept, block_tokens);
  const bool copies_tail = kept % block_tokens != 0 && blocks_[kept_blocks - 1].count() > 1;
  std::size_t given_back = 0;
  for (std::size_t i = kept_blocks; i < blocks_.size(); ++i)
    given_back += blocks_[i].count() == 1 ? 1 : 0;
  const std::size_t needed = blocks_for_tokens(store_->options_, tokens) - kept_blocks;
  if (needed + (copies_tail ? 1 : 0) > store_->free_.size() + given_back) return store_->full();
  if (copies_tail) {
    // What is given back first may be what the copy is made in.
    blocks_.resize(kept_blocks);
    tokens_ = std::min(tokens_, kept_blocks * block_tokens);
  }
  OLLM_TRY_VOID(truncate(kept));
  return reserve(tokens);
}

Result<void> Sequence::truncate(std::size_t tokens) {
  OLLM_CHECK(tokens <= tokens_);
  const std::size_t block_tokens = store_->options_.block_tokens;
  const std::size_t full = tokens / block_tokens;
  if (tokens % block_tokens != 0 && blocks_[full].count() > 1) {
    OLLM_TRY(Sequence copy, fork(tokens));
    *this = std::move(copy);
    return {};
  }
  blocks_.resize(ceil_div(tokens, block_tokens));
  tokens_ = tokens;
  return {};
}

}  // namespace ollm::kv
