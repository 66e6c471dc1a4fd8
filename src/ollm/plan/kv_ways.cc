#include "ollm/plan/kv_ways.h"

#include <algorithm>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/thread.h"
#include "ollm/checkpoint/content_hash.h"
#include "ollm/io/file.h"
#include "ollm/memory/buffer.h"

namespace ollm::plan {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// Reads ahead: enough of them that a disk is never idle, each long enough for its full rate.
constexpr std::size_t kRingSlots = 8;
constexpr std::size_t kRoomySlotBytes = 2 << 20;

// Of the thread that writes: its stack, and the records that wait for their commit.
constexpr std::uint64_t kWriterBytes = Thread::kResidentBytes + kMiB;

// Of the cap where nobody says one (docs/commands.md).
constexpr std::uint64_t kMostKeptBytes = 64 * kGiB;
constexpr std::uint64_t kKeptShare = 10;

const kv::Strategy& row_of(std::string_view strategy) {
  const kv::Strategy* row = kv::find_strategy(strategy);
  OLLM_CHECK(row != nullptr);
  return *row;
}

// What one layer stores of one block of keys and values, the largest of all layers.
std::size_t largest_part_bytes(const kv::Options& options) {
  std::size_t most = 0;
  for (const kv::LayerOptions& layer : options.layers)
    if (!layer.of_layer && !layer.recurrent)
      most = std::max(most, kv::stored_part_bytes(options, layer));
  return most;
}

void give_ring(kv::Options& options, KvRing ring) {
  const std::size_t part = largest_part_bytes(options);
  options.ring_slots = kRingSlots;
  options.slot_bytes =
      ring == KvRing::least ? part : part * std::max<std::size_t>(1, kRoomySlotBytes / part);
}

kv::Options options_of(const KvLines& lines, const kv::Strategy& row, std::size_t rows) {
  kv::Options options;
  options.strategy = row.id;
  options.layers = lines.layers;
  options.block_tokens = row.block_tokens;
  options.max_blocks =
      (kv::blocks_for_tokens(options, lines.context_tokens) + kv::copies_of_line(options)) *
      lines.lines;
  options.sweep_rows = rows;
  options.lines = lines.lines;
  options.frames = options.max_blocks;
  options.reuses = false;
  return options;
}

// The fewest frames, at least `from`, of which `enough` holds, which it does from some number on.
template <typename Enough>
std::size_t first_frames(kv::Options options, std::size_t from, Enough enough) {
  std::size_t to = options.max_blocks;
  while (from < to) {
    options.frames = from + (to - from) / 2;
    if (enough(options)) {
      to = options.frames;
    } else {
      from = options.frames + 1;
    }
  }
  return to;
}

bool spills(const kv::Options& options, const kv::LayerOptions& layer) {
  return kv::blocks_of(options, layer) > kv::frames_of(options, layer);
}

// Of the blocks that there may be of a layer those that hold tokens of lines, and no copies.
std::size_t without_copies(const kv::Options& options, const kv::LayerOptions& layer,
                           std::size_t blocks) {
  const std::size_t copies = layer.recurrent ? 0 : kv::copies_of_line(options) * options.lines;
  return blocks - std::min(blocks, copies);
}

// Blocks of a layer that do not stay in memory.
std::size_t unheld(const kv::Options& options, const kv::LayerOptions& layer) {
  if (!spills(options, layer)) return 0;
  return without_copies(options, layer, kv::blocks_of(options, layer)) - pinned_blocks(options);
}

std::uint64_t unheld_bytes(const kv::Options& options) {
  std::uint64_t bytes = 0;
  for (const kv::LayerOptions& layer : options.layers)
    if (!layer.of_layer)
      bytes += std::uint64_t{kv::stored_part_bytes(options, layer)} * unheld(options, layer);
  return bytes;
}

// Blocks of a layer on disk where what is stored is used again: those that are kept, and where the
// layer forgets also those that memory has no room for, which may be others.
std::size_t stored(const kv::Options& options, const kv::LayerOptions& layer) {
  const std::size_t kept = kv::kept_blocks_of(options, layer);
  return std::min(without_copies(options, layer, options.max_blocks),
                  kept + (kv::forgets(options, layer) ? unheld(options, layer) : 0));
}

void give_pool(kv::Options& options, const kv::Strategy& row, const KvWishes& wishes,
               const CacheStorage& storage, std::uint64_t index_bytes) {
  options.reuses = wishes.reused;
  kv::PoolOptions& pool = options.pool.emplace();
  pool.folder = storage.folder;
  pool.kept = wishes.kept;
  pool.stripe_part_bytes = row.stripe_part_bytes;
  pool.cap_bytes = wishes.cap_bytes.value_or(0);
  pool.index_bytes = wishes.reused ? index_bytes : 0;
}

}  // namespace

CacheStorage cache_storage(const std::filesystem::path& folder, io::SystemCalls& calls) {
  CacheStorage out;
  out.folder = folder;
  for (std::filesystem::path path = folder; !path.empty(); path = path.parent_path()) {
    struct statvfs status{};
    if (calls.statvfs(path.c_str(), &status) == 0) {
      const std::uint64_t unit = status.f_frsize;
      const std::uint64_t free = unit * status.f_bavail;
      out.total_bytes = unit * status.f_blocks;
      out.free_bytes = free / kGiB != 0 ? free / kGiB * kGiB : free / kMiB * kMiB;
      struct stat of{};
      if (calls.stat(path.c_str(), &of) == 0) out.device = of.st_dev;
      return out;
    }
    if (path == path.parent_path()) break;
  }
  return out;
}

std::optional<std::uint64_t> room_to_keep(const CacheStorage& storage,
                                          const kv::PoolOptions& options) {
  if (!storage.total_bytes || !storage.free_bytes) {
    if (options.cap_bytes == 0) return std::nullopt;
    return options.cap_bytes;
  }
  const std::uint64_t total = *storage.total_bytes;
  const std::uint64_t cap =
      options.cap_bytes != 0 ? options.cap_bytes : std::min(total / kKeptShare, kMostKeptBytes);
  const auto reserve = static_cast<std::uint64_t>(options.free_share * static_cast<double>(total));
  return std::min(cap, *storage.free_bytes - std::min(*storage.free_bytes, reserve));
}

std::vector<KvGroup> kv_groups(const std::vector<kv::LayerOptions>& layers) {
  std::vector<KvGroup> out;
  std::vector<const kv::LayerOptions*> firsts;
  for (const kv::LayerOptions& layer : layers) {
    if (layer.of_layer || layer.recurrent) continue;
    const auto alike = std::find_if(firsts.begin(), firsts.end(), [&](const auto* first) {
      return kv::store_alike(*first, layer);
    });
    const auto at = static_cast<std::size_t>(alike - firsts.begin());
    if (alike == firsts.end()) {
      firsts.push_back(&layer);
      out.push_back({.window = layer.window});
    }
    ++out[at].layers;
    out[at].bytes_per_token += layer.layout.tile_bytes() / backend::kTileTokens;
  }
  return out;
}

kv::Options kv_in_memory(const KvLines& lines, const KvWishes& wishes, const CacheStorage& storage,
                         std::size_t rows, std::uint64_t index_bytes) {
  const kv::Strategy& row = row_of(wishes.strategy);
  const bool on_disk = row.writing != kv::Writing::never && (wishes.reused || wishes.by_name) &&
                       !storage.folder.empty();
  // The answer of a strategy that changes it is no other's, wherever keys and values are.
  if (!on_disk) return options_of(lines, row.exact() ? row_of(kv::kResident) : row, rows);
  kv::Options options = options_of(lines, row, rows);
  give_pool(options, row, wishes, storage, index_bytes);
  if (kv::quantizes(options)) give_ring(options, KvRing::least);
  return options;
}

std::optional<kv::Options> kv_spilled(const KvLines& lines, const KvWishes& wishes,
                                      const CacheStorage& storage, std::size_t rows, KvRing ring,
                                      std::uint64_t index_bytes) {
  const kv::Strategy& row = row_of(wishes.strategy);
  if (row.writing == kv::Writing::never || storage.folder.empty()) return std::nullopt;
  kv::Options options = options_of(lines, row, rows);
  options.tail_frames = kv::least_frames(options, rows, lines.lines);
  options.frames = first_frames(options, options.tail_frames, [&](const kv::Options& some) {
    return !storage.free_bytes || unheld_bytes(some) <= *storage.free_bytes;
  });
  if (!options.spills()) return std::nullopt;
  give_ring(options, ring);
  give_pool(options, row, wishes, storage, index_bytes);
  return options;
}

std::size_t pinned_blocks(const kv::Options& options) {
  return options.frames - std::min(options.frames, options.tail_frames);
}

void add_frames(kv::Options& options, std::uint64_t bytes) {
  const std::uint64_t most = kv::frames_bytes(options) + bytes;
  const std::size_t beyond =
      first_frames(options, options.frames + 1,
                   [&](const kv::Options& some) { return kv::frames_bytes(some) > most; });
  options.frames = beyond;
  if (kv::frames_bytes(options) > most) --options.frames;
  if (options.spills()) return;
  options.tail_frames = 0;
  if (!kv::quantizes(options)) options.ring_slots = options.slot_bytes = 0;
}

std::uint64_t kv_bytes(const kv::Options& options) {
  std::uint64_t bytes = 0;
  for (const kv::LayerOptions& layer : options.layers) {
    if (layer.of_layer) continue;
    bytes += std::uint64_t{kv::part_bytes(options, layer)} * kv::blocks_of(options, layer);
  }
  return bytes;
}

std::uint64_t kv_stored_bytes(const kv::Options& options) {
  std::uint64_t bytes = 0;
  for (const kv::LayerOptions& layer : options.layers) {
    if (layer.of_layer) continue;
    bytes += std::uint64_t{kv::stored_part_bytes(options, layer)} *
             without_copies(options, layer, kv::blocks_of(options, layer));
  }
  return bytes;
}

std::uint64_t kv_disk_bytes(const kv::Options& options) {
  if (!options.pool) return 0;
  if (!options.reuses) return unheld_bytes(options);
  std::uint64_t bytes = 0;
  for (const kv::LayerOptions& layer : options.layers)
    if (!layer.of_layer)
      bytes += std::uint64_t{kv::stored_part_bytes(options, layer)} * stored(options, layer);
  return bytes;
}

std::uint64_t kv_written_bytes_per_token(const kv::Options& options) {
  std::uint64_t bytes = 0;
  for (const kv::LayerOptions& layer : options.layers) {
    if (layer.of_layer) continue;
    const std::uint64_t part = kv::stored_part_bytes(options, layer);
    // What has no room in memory is written, be it kept or not.
    const bool all = !options.reuses || spills(options, layer);
    bytes += all ? part : part * kv::kept_blocks_of(options, layer) / options.max_blocks;
  }
  return bytes / options.block_tokens;
}

void add_kv(memory::Ledger& ledger, const kv::Options& options) {
  using memory::Charged;
  using memory::Phase;
  ledger.add("kv", Phase::run, kv::frames_bytes(options));
  if (const std::uint64_t ring = kv::ring_bytes(options); ring != 0)
    ledger.add("kv ring", Phase::run, ring);
  if (const std::uint64_t codes = kv::code_memory(options).all(); codes != 0)
    ledger.add("kv codes", Phase::run, memory::charged_bytes(codes));
  if (!options.pool) return;
  ledger.add("kv table", Phase::run, kv::table_bytes(options), Charged::on_load);
  if (options.pool->index_bytes != 0)
    ledger.add("kv index", Phase::run, options.pool->index_bytes, Charged::on_load);
  ledger.add("kv writer", Phase::run, kWriterBytes, Charged::on_load);
  if (options.pool->kept && options.reuses) {
    ledger.add(
        "content hash", Phase::run,
        memory::charged_bytes(checkpoint::ContentHash::kPieceBytes + io::File::kDirectAlignment));
    ledger.add("hash thread", Phase::run, Thread::kResidentBytes, Charged::on_load);
  }
}

std::uint64_t kv_memory_bytes(const kv::Options& options) {
  memory::Ledger ledger;
  add_kv(ledger, options);
  return ledger.bytes(memory::Phase::run);
}

}  // namespace ollm::plan
