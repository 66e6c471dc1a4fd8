// Blocks of keys and values in the packed layout of backend/, reference-counted, group by group of
// layers that store alike. Leaves to others: which blocks make a line (line.h), what is written
// into a slot and how attention folds (backend/), which strategy is chosen (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/kv/options.h"
#include "ollm/memory/budget.h"
#include "ollm/memory/buffer.h"

namespace ollm::kv {

class Store;

/// Shares one block; the block is free again when the last reference goes.
class BlockRef {
 public:
  BlockRef() = default;
  BlockRef(const BlockRef& other);
  BlockRef(BlockRef&& other) noexcept;
  BlockRef& operator=(BlockRef other) noexcept;
  ~BlockRef();

  explicit operator bool() const { return store_ != nullptr; }
  /// References to this block, this one included.
  std::uint32_t count() const;

 private:
  friend class Store;
  BlockRef(Store* store, std::uint32_t group, std::uint32_t index)
      : store_(store), group_(group), index_(index) {}

  Store* store_ = nullptr;
  std::uint32_t group_ = 0;
  std::uint32_t index_ = 0;
};

/// Where a layer's tiles stand: in blocks of which group, and where inside.
struct LayerPlace {
  std::size_t group = 0;
  std::size_t offset = 0;      // of the layer's first tile in a block
  std::size_t tile_bytes = 0;  // from one tile to the next
  bool stores = true;          // else what stands there is an earlier layer's
};

/// All blocks of one loaded model. Layers of equal layout and window are a group: their tokens
/// stand in the same blocks, which come and go together. One thread at a time; must outlive its
/// lines.
class Store {
 public:
  /// Charges max_blocks of each group to the budget at once, so that the token loop needs none.
  /// Errors: out_of_budget; unsupported for a strategy that is not built.
  static Result<std::unique_ptr<Store>> make(Options options, memory::Budget& budget);

  const Options& options() const { return options_; }
  std::size_t groups() const { return groups_.size(); }
  std::size_t free_blocks(std::size_t group) const { return groups_[group].free.size(); }
  const LayerPlace& place(std::size_t layer) const { return places_[layer]; }

  /// A block, zeroed. There must be a free one.
  BlockRef take(std::size_t group);
  /// A block with the same bytes. There must be a free one.
  BlockRef copy(const BlockRef& block);
  /// The bytes of a block; only where one reference is held may they be written.
  std::byte* data(const BlockRef& block);

  /// out_of_budget: that a group has too few free blocks.
  Error full() const;

 private:
  friend class BlockRef;
  struct Group {
    backend::KvLayout layout;
    std::size_t window = 0;
    std::size_t block_bytes = 0;
    std::size_t first_byte = 0;             // in storage_
    std::vector<std::uint32_t> references;  // of each block
    std::vector<std::uint32_t> free;
    std::vector<bool> dirty;  // was used before: must be zeroed when it is taken again
  };

  explicit Store(Options options);
  std::size_t group_of(const LayerOptions& layer);

  Options options_;
  std::vector<LayerPlace> places_;  // of each layer
  std::vector<Group> groups_;
  memory::Buffer storage_;
};

}  // namespace ollm::kv
