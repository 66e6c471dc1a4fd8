#include "ollm/plan/kv_decisions.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/text_size.h"

namespace ollm::plan {
namespace {

// Of a prefill, above which reads that are not hidden are told as such.
constexpr double kHiddenShare = 0.01;

std::string share_in_memory(const LoadPlan& plan) {
  return fmt::format("{} of the {} of keys and values", format_bytes(kv::frames_bytes(plan.kv)),
                     format_bytes(kv_bytes(plan.kv)));
}

Decision frames(const LoadPlan& plan) {
  const kv::Options& kv = plan.kv;
  if (!kv.spills())
    return {"kv.frames", "all", fmt::format("memory holds {}", share_in_memory(plan))};
  return {"kv.frames", fmt::format("{} of {} blocks", kv.frames, kv.max_blocks),
          fmt::format("{} stay in memory: the first of each line, and what a sweep writes; the "
                      "rest is read from disk by every sweep",
                      share_in_memory(plan))};
}

Decision codes(const LoadPlan& plan) {
  const kv::Options& kv = plan.kv;
  return {"kv.codes", "int8",
          fmt::format("each token sees the {} tokens of its own block as they are, and all before "
                      "as codes of one byte: the answer is not that of exact keys and values; a "
                      "token takes {} in memory and {} on disk",
                      kv.block_tokens, format_bytes(kv::block_bytes(kv) / kv.block_tokens),
                      format_bytes(kv::stored_block_bytes(kv) / kv.block_tokens))};
}

Decision disk(const LoadPlan& plan, const CacheStorage& storage) {
  const kv::PoolOptions& pool = *plan.kv.pool;
  const std::uint64_t bytes = kv_disk_bytes(plan.kv);
  const std::string folder = pool.folder.string();
  if (!plan.kv.reuses && bytes == 0)
    return {"kv.disk", "nothing", "memory holds all of it, and none of it is kept"};
  if (!plan.kv.reuses) {
    return {"kv.disk", folder,
            fmt::format("{} that memory does not hold go to files without a name, gone with the "
                        "process; nothing is kept",
                        format_bytes(bytes))};
  }
  if (!pool.kept) {
    return {"kv.disk", folder,
            fmt::format("up to {} go to files without a name, used again within this process and "
                        "gone with it",
                        format_bytes(bytes))};
  }
  const auto room = room_to_keep(storage, pool);
  if (room && *room < bytes) {
    return {"kv.disk", folder,
            fmt::format("keeps less than the {} that this run makes: {} may be kept ({} free; "
                        "--kv-cache-max-size); --no-cache keeps nothing",
                        format_bytes(bytes), format_bytes(*room),
                        storage.free_bytes ? format_bytes(*storage.free_bytes) : "unknown")};
  }
  return {"kv.disk", folder,
          fmt::format("up to {} are written and kept for later runs; --no-cache keeps nothing",
                      format_bytes(bytes))};
}

Decision reads(const LoadPlan& plan) {
  const KvTraffic& traffic = plan.kv_traffic;
  const double wait = traffic.prefill_wait_s;
  const double prefill = plan.estimate.time_to_first_token_s;
  if (wait <= prefill * kHiddenShare) {
    return {"kv.reads", "hidden",
            fmt::format("sweeps of {} rows compute longer than they read {} in all",
                        plan.engine.max_rows, format_bytes(traffic.prefill_read_bytes))};
  }
  return {"kv.reads", fmt::format("{:.0f} s of {:.0f} are not hidden", wait, prefill),
          fmt::format(
              "{} sweeps of {} rows read {} of keys and values that memory does not hold; "
              "more rows, read by fewer sweeps, do not fit or are not faster",
              (plan.estimate.prompt_tokens * plan.workload.sequences + plan.engine.max_rows - 1) /
                  plan.engine.max_rows,
              plan.engine.max_rows, format_bytes(traffic.prefill_read_bytes))};
}

// Tokens of each sequence whose keys and values take no more than `bytes`. What layers with a
// window take does not grow with them.
std::uint64_t context_within(const LoadPlan& plan, std::uint64_t bytes) {
  const kv::Options& kv = plan.kv;
  std::uint64_t block_bytes = 0;
  for (const kv::LayerOptions& layer : kv.layers) {
    if (layer.of_layer) continue;
    const std::uint64_t part = kv::stored_part_bytes(kv, layer);
    if (kv::forgets(kv, layer)) {
      bytes -= std::min(bytes, part * kv::blocks_of(kv, layer));
    } else {
      block_bytes += part;
    }
  }
  if (block_bytes == 0) return bytes == 0 ? 0 : plan.context_tokens;
  return bytes / block_bytes / plan.workload.sequences * kv.block_tokens;
}

}  // namespace

std::vector<Decision> kv_decisions(const LoadPlan& plan, const CacheStorage& storage) {
  std::vector<Decision> out;
  if (kv::quantizes(plan.kv)) out.push_back(codes(plan));
  if (!plan.kv.pool) return out;
  out.push_back(frames(plan));
  out.push_back(disk(plan, storage));
  if (plan.kv.spills() && plan.kv_traffic.prefill_read_bytes != 0) out.push_back(reads(plan));
  return out;
}

std::string why_not_on_disk(const LoadPlan& plan, const CacheStorage& storage,
                            const KvWishes& wishes) {
  const kv::Strategy* row = kv::find_strategy(wishes.strategy);
  if (row == nullptr || row->writing == kv::Writing::never) return {};
  if (storage.folder.empty()) {
    return "keys and values that memory does not hold would go to disk, but no folder is known for "
           "them (--cache-dir)";
  }
  const std::uint64_t bytes = kv_stored_bytes(plan.kv);
  if (!storage.free_bytes || *storage.free_bytes >= bytes) return {};
  return fmt::format(
      "keys and values of {} tokens take {}, and {} has {} free: --context {} would fit there",
      plan.context_tokens, format_bytes(bytes), storage.folder.string(),
      format_bytes(*storage.free_bytes), context_within(plan, *storage.free_bytes));
}

}  // namespace ollm::plan
