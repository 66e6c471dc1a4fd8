// The one table of KV strategies: how each keeps keys and values, as rows of axes. Names in
// settings, messages and plans come from here. Leaves to others: which one a run takes (plan/) and
// the store that does it (store.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ollm::kv {

/// The seed's names of forms on disk. All but `resident_only` are rows over one form of segment
/// files (pool.h): what sets them apart are the other axes.
enum class PersistenceFormat {
  resident_only,  // nothing is on disk
  chunked_manifest,
  paged_manifest,
  streamed_segmented,
  log_structured_journal,
  sliding_window_ring_buffer,
};

/// What of the blocks is in memory.
enum class ResidencyMode { fully_resident, buffered_tail, tiered_write_back };

/// Which tokens are kept; a window changes the answer.
enum class WindowPolicy { full_history, sliding_window };

/// How full blocks are seen by the tokens behind them, in memory and on disk; quantized ones change
/// the answer.
enum class ColdTierEncoding { full_precision, quantized };

/// Who finds blocks that are kept.
enum class Sharing {
  nobody,
  line,  // the line that wrote them, going on
  all,   // any line that begins with the same tokens
};

/// When a full block is written.
enum class Writing {
  never,
  behind,         // the sweep that filled it
  out_of_frames,  // once its frame is needed, and where it is to be kept at the end
};

struct Strategy {
  std::string_view id;  // as in settings, plans and messages
  PersistenceFormat format = PersistenceFormat::resident_only;
  ResidencyMode residency = ResidencyMode::buffered_tail;
  WindowPolicy window = WindowPolicy::full_history;
  ColdTierEncoding encoding = ColdTierEncoding::full_precision;
  Sharing sharing = Sharing::all;
  Writing writing = Writing::behind;
  /// Of one block: a multiple of backend::kTileTokens.
  std::size_t block_tokens = 128;
  /// A layer's part of what stands together on disk, and so of the longest read of it.
  std::uint64_t stripe_part_bytes = std::uint64_t{2} << 20;
  bool can_compact = false;  // what was replaced on disk can be given back

  /// Whether answers are those of every other strategy that is exact.
  constexpr bool exact() const {
    return window == WindowPolicy::full_history && encoding == ColdTierEncoding::full_precision;
  }
};

inline constexpr std::string_view kResident = "resident";
inline constexpr std::string_view kChunked = "chunked";
inline constexpr std::string_view kPaged = "paged";
inline constexpr std::string_view kSlidingWindow = "sliding-window-ring-buffer";
inline constexpr std::string_view kQuantizedColdTier = "quantized-cold-tier";

/// In the order in which settings list them. Constant at compile time, as the table of settings is
/// made of it.
inline constexpr std::array kStrategies{
    Strategy{.id = kResident,
             .residency = ResidencyMode::fully_resident,
             .sharing = Sharing::nobody,
             .writing = Writing::never,
             .block_tokens = 64},
    Strategy{
        .id = kChunked, .format = PersistenceFormat::chunked_manifest, .sharing = Sharing::line},
    Strategy{.id = kPaged, .format = PersistenceFormat::paged_manifest},
    Strategy{.id = "streamed-segmented",
             .format = PersistenceFormat::streamed_segmented,
             .block_tokens = 512,
             .stripe_part_bytes = std::uint64_t{8} << 20},
    Strategy{.id = "log-structured-journal",
             .format = PersistenceFormat::log_structured_journal,
             .sharing = Sharing::line,
             .can_compact = true},
    Strategy{.id = kSlidingWindow,
             .format = PersistenceFormat::sliding_window_ring_buffer,
             .window = WindowPolicy::sliding_window,
             .sharing = Sharing::nobody,
             .writing = Writing::never,
             .block_tokens = 64},
    Strategy{.id = kQuantizedColdTier,
             .format = PersistenceFormat::log_structured_journal,
             .encoding = ColdTierEncoding::quantized,
             .can_compact = true},
    Strategy{.id = "tiered-write-back",
             .format = PersistenceFormat::log_structured_journal,
             .residency = ResidencyMode::tiered_write_back,
             .writing = Writing::out_of_frames,
             .can_compact = true},
};

/// Their names, in their order.
inline constexpr auto kStrategyIds = [] {
  std::array<std::string_view, kStrategies.size()> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = kStrategies[i].id;
  return out;
}();

/// The row of a name, or nullptr.
constexpr const Strategy* find_strategy(std::string_view id) {
  for (const Strategy& strategy : kStrategies)
    if (strategy.id == id) return &strategy;
  return nullptr;
}

}  // namespace ollm::kv
