// From a model, a machine and wishes to an execution plan: threads, instruction set, compute mode,
// chunk, KV, pinned weights and the ledger that holds them to the budget. Only arithmetic; nothing
// is measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/machine/machine.h"
#include "ollm/models/composition.h"
#include "ollm/plan/kv_ways.h"
#include "ollm/plan/load_plan.h"

namespace ollm::plan {

/// Sequences at once, and rows of one sweep, that a plan may have: what is beyond has no use, and
/// sizes made of both stay far from overflow.
constexpr std::size_t kMostSequences = std::size_t{1} << 16;
constexpr std::size_t kMostRows = std::size_t{1} << 20;
/// Requests of a job: more than a file has rows, and few enough that times and bytes are numbers.
constexpr std::size_t kMostRequests = std::size_t{1} << 40;

/// What the user fixed; what is absent is chosen.
struct Wishes {
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::size_t> threads;
  std::optional<std::size_t> prefill_chunk;
  std::optional<std::size_t> context_tokens;
  std::optional<backend::ComputeMode> compute;
  std::optional<backend::Isa> isa;
  std::optional<std::size_t> feed_forward_rows;
  std::optional<std::size_t> most_drafts = std::nullopt;  // guesses of a step; 0: none
  KvWishes kv = {};
};

/// The file system that the weights lie on, and the one for keys and values.
struct Storage {
  std::optional<std::uint64_t> device;  // st_dev, for the profile's rate
  bool direct = false;                  // whether it has direct access
  CacheStorage cache = {};
  /// How much earlier runs wanted each expert, by layer; empty: none are known.
  std::vector<float> wanted_experts = {};
};

/// What of the model's folder counts for memory beside its tensors: the file that the tokenizer is
/// made of, 0 where there is none.
struct TextFiles {
  std::uint64_t tokenizer_json_bytes = 0;
  std::uint64_t sentencepiece_bytes = 0;  // tokenizer.model or spiece.model, without tokenizer.json
};

/// Bytes at most that a text takes on its way to ids, the ids left out: what it is joined, quoted
/// and rendered into, and what the encoder holds.
std::uint64_t encoding_bytes(std::uint64_t text_bytes);

/// Always gives a plan where the wishes make sense; `fits` tells whether it can run.
/// Errors: invalid_argument for a prompt longer than the model's positions or the wished context,
/// for no sequences or too many, for too many requests, for a chunk beyond kMostRows and for bf16
/// on weights that are not BF16.
Result<LoadPlan> choose(const models::Composition& composition,
                        const checkpoint::TensorIndex& tensors, const TextFiles& text,
                        const Storage& storage, const machine::Machine& machine,
                        const Wishes& wishes, const Workload& workload);

}  // namespace ollm::plan
