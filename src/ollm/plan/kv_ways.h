// The ways to hold keys and values: all in memory, or some in memory and the rest on disk, and what
// each takes of both. Leaves to others: which strategy it is (kv_selector.h), which way is faster
// and how many weights stand beside it (choose.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ollm/io/system_calls.h"
#include "ollm/kv/options.h"
#include "ollm/kv/strategies.h"
#include "ollm/memory/ledger.h"
#include "ollm/plan/plans.h"

namespace ollm::plan {

/// What settings and selector say of keys and values.
struct KvWishes {
  std::string strategy{kv::kResident};
  /// Asked for by name, so that it is taken even where memory holds everything and nothing is kept.
  bool by_name = false;
  bool kept = false;    // for later runs
  bool reused = false;  // by what begins alike, at least in this process
  std::optional<std::uint64_t> cap_bytes = {};

  friend bool operator==(const KvWishes&, const KvWishes&) = default;
};

/// The file system that keys and values on disk stand on.
struct CacheStorage {
  std::filesystem::path folder;              // "…/kv"; empty: there is none
  std::optional<std::uint64_t> device;       // st_dev, for the profile's rate
  std::optional<std::uint64_t> total_bytes;  // nothing: it does not tell
  /// For this user, in whole GiB, below one in whole MiB, as it moves while one looks.
  std::optional<std::uint64_t> free_bytes;

  friend bool operator==(const CacheStorage&, const CacheStorage&) = default;
};

/// Of the file system under a folder, or under the nearest of its parents that is there.
CacheStorage cache_storage(const std::filesystem::path& folder, io::SystemCalls& calls);

/// What may be kept: the cap, or what the file system has beside its reserve.
std::optional<std::uint64_t> room_to_keep(const CacheStorage& storage,
                                          const kv::PoolOptions& options);

/// Lines of tokens, and what one of them may come to hold.
struct KvLines {
  std::vector<kv::LayerOptions> layers;
  std::size_t context_tokens = 0;
  std::size_t lines = 1;
};

/// Layers by what they store and how far back it may be read, in the order of their first layers.
std::vector<KvGroup> kv_groups(const std::vector<kv::LayerOptions>& layers);

/// Every block has a frame, for sweeps of `rows` rows. The strategy is the wished one, or resident
/// where nothing of it would ever be on disk.
kv::Options kv_in_memory(const KvLines& lines, const KvWishes& wishes, const CacheStorage& storage,
                         std::size_t rows, std::uint64_t index_bytes);

/// What is read ahead of blocks that are not in memory.
enum class KvRing { roomy, least };

/// As few frames as sweeps of `rows` rows run with, and as leave no more to the disk than it has
/// free. Nothing where the wishes want all in memory, where there is no disk, and where every block
/// would have a frame.
std::optional<kv::Options> kv_spilled(const KvLines& lines, const KvWishes& wishes,
                                      const CacheStorage& storage, std::size_t rows, KvRing ring,
                                      std::uint64_t index_bytes);

/// Blocks that stay in memory from when they are full.
std::size_t pinned_blocks(const kv::Options& options);

/// As many more frames of a plan that spills as take no more than `bytes`; with frames for all
/// blocks there is no ring.
void add_frames(kv::Options& options, std::uint64_t bytes);

/// Bytes of all blocks that there may be at once, wherever they are.
std::uint64_t kv_bytes(const kv::Options& options);

/// Bytes that all tokens there may be at once would take on disk.
std::uint64_t kv_stored_bytes(const kv::Options& options);

/// Bytes that stand on disk when all lines are full: of all tokens where they are used again, of
/// layers that forget those that entries need; else of blocks that do not stay in memory.
std::uint64_t kv_disk_bytes(const kv::Options& options);

/// Bytes of one token, in all layers, that are written to disk sooner or later.
std::uint64_t kv_written_bytes_per_token(const kv::Options& options);

/// The lines of the ledger.
void add_kv(memory::Ledger& ledger, const kv::Options& options);
/// Their sum.
std::uint64_t kv_memory_bytes(const kv::Options& options);

}  // namespace ollm::plan
