// Where every byte will live and what it will cost: all that the loader needs, and nothing left for
// it to decide. Leaves to others: which backend and why (runtime_plan.h), how it is chosen
// (choose.h), what then happened (runtime/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "ollm/backend/options.h"
#include "ollm/engine/engine.h"
#include "ollm/kv/store.h"
#include "ollm/memory/ledger.h"
#include "ollm/models/model_config.h"
#include "ollm/plan/decision.h"
#include "ollm/plan/estimate.h"
#include "ollm/plan/workload.h"
#include "ollm/weights/tape.h"

namespace ollm::plan {

struct ExecutionPlan {
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
  std::uint64_t weight_bytes = 0;    // of all weights
  std::uint64_t pinned_bytes = 0;    // of them, matrices that stay in memory
  std::uint64_t streamed_bytes = 0;  // read from disk in every sweep that wants logits
  kv::Options kv;
  engine::Options engine;
  Estimate estimate;
  std::vector<Decision> decisions;  // in the order they were made
};

/// Keys and order are those of docs/formats/execution_plan.schema.json.
nlohmann::ordered_json to_json(const ExecutionPlan& plan);

}  // namespace ollm::plan
