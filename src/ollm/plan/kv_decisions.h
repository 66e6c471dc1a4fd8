// What a plan says of keys and values in sentences. Leaves to others: what is decided (choose.h).
#pragma once

#include <string>
#include <vector>

#include "ollm/plan/kv_ways.h"
#include "ollm/plan/load_plan.h"

namespace ollm::plan {

/// How many blocks are in memory, what goes to disk, and what of its reading is not hidden behind
/// computing.
std::vector<Decision> kv_decisions(const LoadPlan& plan, const CacheStorage& storage);

/// What the disk has to do with a plan that does not fit, with the context that would; empty where
/// it has nothing.
std::string why_not_on_disk(const LoadPlan& plan, const CacheStorage& storage,
                            const KvWishes& wishes);

}  // namespace ollm::plan
