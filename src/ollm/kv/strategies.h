// The one table of KV strategies: how each keeps keys and values, as rows of axes. Names in
// settings, messages and plans come from here. Leaves to others: which one a run takes (plan/) and
// the store that does it (store.h).
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace ollm::kv {

/// How blocks lie on disk.
enum class PersistenceFormat {
  resident_only,  // they do not
  chunked_manifest,
  paged_manifest,
  streamed_segmented,
  log_structured_journal,
  sliding_window_ring_buffer,
};

/// What of them is in memory.
enum class ResidencyMode { fully_resident, buffered_tail, tiered_write_back };

/// Which tokens are kept; a window changes the answer.
enum class WindowPolicy { full_history, sliding_window };

/// How blocks out of memory are written; quantized ones change the answer.
enum class ColdTierEncoding { full_precision, quantized };

struct Strategy {
  std::string_view id;  // as in settings, plans and messages
  PersistenceFormat format = PersistenceFormat::resident_only;
  ResidencyMode residency = ResidencyMode::buffered_tail;
  WindowPolicy window = WindowPolicy::full_history;
  ColdTierEncoding encoding = ColdTierEncoding::full_precision;
  bool can_compact = false;      // what was replaced on disk can be given back
  std::string_view folder = {};  // below the cache folder; empty: none
  bool built = false;            // whether the store has it
};

inline constexpr std::string_view kResident = "resident";
inline constexpr std::string_view kChunked = "chunked";
inline constexpr std::string_view kPaged = "paged";
inline constexpr std::string_view kSlidingWindow = "sliding-window-ring-buffer";
inline constexpr std::string_view kQuantizedColdTier = "quantized-cold-tier";

/// In the order in which settings list them. Constant at compile time, as the table of settings is
/// made of it.
inline constexpr std::array kStrategies{
    Strategy{.id = kResident, .residency = ResidencyMode::fully_resident, .built = true},
    Strategy{.id = kChunked,
             .format = PersistenceFormat::chunked_manifest,
             .folder = "kv_cache_chunked"},
    Strategy{.id = kPaged, .format = PersistenceFormat::paged_manifest, .folder = "kv_cache_paged"},
    Strategy{.id = "streamed-segmented",
             .format = PersistenceFormat::streamed_segmented,
             .folder = "kv_cache_streamed_segmented"},
    Strategy{.id = "log-structured-journal",
             .format = PersistenceFormat::log_structured_journal,
             .can_compact = true,
             .folder = "kv_cache_log_structured_journal"},
    Strategy{.id = kSlidingWindow,
             .format = PersistenceFormat::sliding_window_ring_buffer,
             .window = WindowPolicy::sliding_window,
             .folder = "kv_cache_sliding_window_ring_buffer"},
    Strategy{.id = kQuantizedColdTier,
             .format = PersistenceFormat::log_structured_journal,
             .encoding = ColdTierEncoding::quantized,
             .can_compact = true,
             .folder = "kv_cache_quantized_cold_tier"},
    Strategy{.id = "tiered-write-back",
             .format = PersistenceFormat::log_structured_journal,
             .residency = ResidencyMode::tiered_write_back,
             .can_compact = true,
             .folder = "kv_cache_tiered_write_back"},
};

/// How many of them are built, or are not.
constexpr std::size_t count_strategies(bool built) {
  std::size_t count = 0;
  for (const Strategy& strategy : kStrategies) count += strategy.built == built ? 1 : 0;
  return count;
}

/// Their names, in their order.
inline constexpr auto kStrategyIds = [] {
  std::array<std::string_view, kStrategies.size()> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = kStrategies[i].id;
  return out;
}();

/// The names of those that are not built.
inline constexpr auto kUnbuiltStrategyIds = [] {
  std::array<std::string_view, count_strategies(false)> out{};
  std::size_t at = 0;
  for (const Strategy& strategy : kStrategies)
    if (!strategy.built) out[at++] = strategy.id;
  return out;
}();

/// The row of a name, or nullptr.
constexpr const Strategy* find_strategy(std::string_view id) {
  for (const Strategy& strategy : kStrategies)
    if (strategy.id == id) return &strategy;
  return nullptr;
}

}  // namespace ollm::kv
