#include "ollm/plan/load_plan.h"

#include <string>

#include "ollm/plan/effective_config.h"
#include "ollm/plan/kv_ways.h"

namespace ollm::plan {
namespace {

MemoryPlan memory_of(const LoadPlan& plan) {
  MemoryPlan out;
  out.budget_bytes = plan.budget_bytes;
  out.minimum_bytes = plan.minimum_bytes;
  out.peak_bytes = plan.memory.peak_bytes();
  for (const memory::LedgerLine& line : plan.memory.lines())
    out.ledger.push_back({line.owner, std::string(to_string(line.phase)), line.bytes});
  return out;
}

WeightsPlan weights_of(const LoadPlan& plan) {
  WeightsPlan out;
  out.bytes = plan.weight_bytes;
  out.pinned_bytes = plan.pinned_bytes;
  out.streamed_bytes = plan.streamed_bytes;
  out.segment_bytes = plan.weights.segment_bytes;
  out.ring_slots = plan.weights.ring_slots;
  out.access = plan.weights.access == io::Access::direct ? "direct" : "buffered";
  out.reads = to_string(plan.weights.read_method);
  return out;
}

KvPlan kv_of(const LoadPlan& plan) {
  KvPlan out;
  out.strategy = plan.kv.strategy;
  out.lifecycle = plan.kv.pool && plan.kv.pool->kept ? "persistent" : "runtime-scoped";
  out.context_tokens = plan.context_tokens;
  out.sequences = plan.workload.sequences;
  out.block_tokens = plan.kv.block_tokens;
  out.block_bytes = kv::block_bytes(plan.kv);
  out.blocks = plan.kv.max_blocks;
  out.bytes = kv_bytes(plan.kv);
  out.frames = plan.kv.frames;
  out.memory_bytes = kv_memory_bytes(plan.kv);
  out.disk_bytes = kv_disk_bytes(plan.kv);
  out.groups = plan.kv_groups;
  for (const KvGroup& group : out.groups) out.bytes_per_token += group.bytes_per_token;
  out.read_bytes_per_token = plan.kv_traffic.read_bytes_per_token;
  out.prefill_read_bytes = plan.kv_traffic.prefill_read_bytes;
  out.written_bytes = plan.kv_traffic.written_bytes;
  if (plan.kv.pool) {
    out.disk_free_bytes = plan.disk_free_bytes;
    out.folder = plan.kv.pool->folder;
  }
  return out;
}

}  // namespace

ExecutionPlan execution_plan(const LoadPlan& plan) {
  ExecutionPlan out;
  out.fits = plan.fits;
  out.model = effective_config(plan.model);
  out.workload = plan.workload;
  out.memory = memory_of(plan);
  out.weights = weights_of(plan);
  out.experts = plan.experts;
  out.kv = kv_of(plan);
  out.compute = to_string(plan.backend.compute);
  out.isa = to_string(plan.backend.isa);
  out.threads = plan.threads;
  out.prefill_chunk = plan.engine.max_rows;
  out.feed_forward_rows = plan.engine.feed_forward_rows;
  out.estimate = plan.estimate;
  out.lines = plan.lines;
  out.decisions = plan.decisions;
  return out;
}

}  // namespace ollm::plan
