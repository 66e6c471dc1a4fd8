#include "ollm/plan/execution_plan.h"

#include <nlohmann/json.hpp>

#include "ollm/base/utf8.h"
#include "ollm/plan/payloads.h"

namespace ollm::plan {

using Json = nlohmann::ordered_json;

namespace {

Json memory_json(const ExecutionPlan& plan) {
  Json ledger = Json::array();
  for (const memory::LedgerLine& line : plan.memory.lines()) {
    ledger.push_back(
        {{"owner", line.owner}, {"phase", to_string(line.phase)}, {"bytes", line.bytes}});
  }
  return {{"budget_bytes", plan.budget_bytes},
          {"minimum_bytes", plan.minimum_bytes},
          {"peak_bytes", plan.memory.peak_bytes()},
          {"ledger", std::move(ledger)}};
}

Json weights_json(const ExecutionPlan& plan) {
  return {{"bytes", plan.weight_bytes},
          {"pinned_bytes", plan.pinned_bytes},
          {"streamed_bytes", plan.streamed_bytes},
          {"segment_bytes", plan.weights.segment_bytes},
          {"ring_slots", plan.weights.ring_slots},
          {"access", plan.weights.access == io::Access::direct ? "direct" : "buffered"},
          {"reads", to_string(plan.weights.read_method)}};
}

Json kv_json(const ExecutionPlan& plan) {
  return {{"strategy", plan.kv.strategy},
          {"context_tokens", plan.context_tokens},
          {"sequences", plan.workload.sequences},
          {"block_tokens", plan.kv.block_tokens},
          {"block_bytes", kv::block_bytes(plan.kv)},
          {"blocks", plan.kv.max_blocks},
          {"bytes", kv::block_bytes(plan.kv) * plan.kv.max_blocks}};
}

Json estimate_json(const Estimate& estimate) {
  return {{"bytes_per_sweep", estimate.bytes_per_sweep},
          {"memory_bytes_per_sweep", estimate.memory_bytes_per_sweep},
          {"seconds_per_sweep", estimate.seconds_per_sweep},
          {"bound_by", estimate.bound_by},
          {"prefill_tokens_per_second", estimate.prefill_tokens_per_second},
          {"decode_tokens_per_second", estimate.decode_tokens_per_second},
          {"time_to_first_token_s", estimate.time_to_first_token_s},
          {"total_s", estimate.total_s},
          {"load_s", estimate.load_s},
          {"flops_per_token", estimate.flops_per_token},
          {"rows_that_fill_a_sweep", estimate.rows_that_fill}};
}

}  // namespace

Json to_json(const ExecutionPlan& plan) {
  Json decisions = Json::array();
  for (const Decision& decision : plan.decisions) {
    decisions.push_back({{"what", json_text(decision.what)},
                         {"chosen", json_text(decision.chosen)},
                         {"because", json_text(decision.because)}});
  }
  return {{"fits", plan.fits},
          {"memory", memory_json(plan)},
          {"weights", weights_json(plan)},
          {"kv", kv_json(plan)},
          {"compute", to_string(plan.backend.compute)},
          {"isa", to_string(plan.backend.isa)},
          {"threads", plan.threads},
          {"prefill_chunk", plan.engine.max_rows},
          {"feed_forward_rows", plan.engine.feed_forward_rows},
          {"estimate", estimate_json(plan.estimate)},
          {"decisions", std::move(decisions)}};
}

}  // namespace ollm::plan
