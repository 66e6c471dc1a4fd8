// All that the loader needs, and nothing left for it to decide: the options of every component.
// Leaves to others: which backend and why (plan_draft.h), how it is chosen (choose.h), what people
// are told of it (ExecutionPlan), what then happened (runtime/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ollm/backend/options.h"
#include "ollm/engine/draft_depth.h"
#include "ollm/engine/engine.h"
#include "ollm/kv/store.h"
#include "ollm/memory/ledger.h"
#include "ollm/models/model_config.h"
#include "ollm/plan/estimate.h"
#include "ollm/plan/plans.h"
#include "ollm/weights/tape.h"

namespace ollm::plan {

struct LoadPlan {
  models::ModelConfig model;  // what the model's files hold, every default filled in

  bool fits = false;
  std::uint64_t budget_bytes = 0;
  std::uint64_t minimum_bytes = 0;  // the smallest budget that runs as asked, whole MiB
  memory::Ledger memory;

  Workload workload;
  std::size_t context_tokens = 0;  // that one sequence may hold
  backend::Options backend;
  std::size_t threads = 1;
  weights::Options weights;
  std::uint64_t weight_bytes = 0;      // of all weights
  std::uint64_t pinned_bytes = 0;      // of them, matrices that stay in memory
  std::uint64_t streamed_bytes = 0;    // read from disk in every sweep that wants logits
  std::optional<ExpertsPlan> experts;  // of a mixture
  kv::Options kv;
  std::vector<KvGroup> kv_groups;  // of kv.layers
  KvTraffic kv_traffic;
  std::optional<std::uint64_t> disk_free_bytes;  // of the file system of kv.pool
  engine::Options engine;
  engine::SpeculationOptions speculation;
  Estimate estimate;
  LinesPlan lines;
  std::vector<Decision> decisions;  // in the order they were made
};

/// What people and programs are told of it.
ExecutionPlan execution_plan(const LoadPlan& plan);

}  // namespace ollm::plan
