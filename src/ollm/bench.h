/// \file
/// What speed is measured with: model folders of real shapes with random weights, and what the
/// machine can do at most. For programs that compare; `ollm bench` is one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/ollm.h"

namespace ollm {

/// A folder of a real shape with random weights.
struct RandomModelOptions {
  /// "llama3-1B", "llama3-3B", "llama3-8B", "llama3-70B", "gpt-oss-20b", "qwen3-30b-a3b",
  /// "qwen3-next-80b", or a
  /// config.json.
  std::string shape;
  std::uint64_t seed = 0;     // equal seeds give equal bytes
  std::filesystem::path out;  // the folder; files in it are replaced
  bool sparse = false;        // no weights, holes of the same size: for tests of memory
  std::size_t layers = 0;     // the first so many alone; 0: all
  double router_skew = 0;     // of experts: 0 chooses all alike, 1 some far more often than others
};

/// Writes config.json and weights whose logits are finite and apart; no tokenizer. Weights are
/// BF16, those of experts MXFP4 where the config says so. Errors: not_found for an unknown shape;
/// unsupported for a family whose tensors do not follow from its config alone; invalid_argument
/// where `out` is the folder of another model, or that of the config itself; io; cancelled.
OLLM_API Result<void> make_random_model(const RandomModelOptions& options,
                                        OnProgress on_progress = nullptr,
                                        const CancellationToken* cancel = nullptr);

/// What the machine can do at most, measured now: the limits that speed is a share of.
struct MachineLimits {
  double memory_bytes_per_second = 0;  // reads
  double peak_flops = 0;               // of the table and mode, from registers
};
/// `isa` and `compute` as their settings name them. Errors: invalid_argument, unsupported;
/// out_of_budget.
OLLM_API Result<MachineLimits> measure_limits(std::string_view isa, std::string_view compute,
                                              std::size_t threads);

/// What a bare reader of a file gets: direct reads of 4 MiB by two threads, nothing done with them.
struct DiskLimit {
  double bytes_per_second = 0;    // that it read
  double cpu_s_per_gigabyte = 0;  // of the process; a gigabyte is 10^9 bytes
};
/// Reads at most `bytes` of the files, one after the other. Errors: not_found, io; unsupported
/// where the file system has no direct access.
OLLM_API Result<DiskLimit> measure_disk(std::span<const std::filesystem::path> files,
                                        std::uint64_t bytes);

/// Extends a session by so many tokens of no meaning, with random keys and values in their places,
/// written and read as computed ones are: a long line without the hours that it takes.
/// Errors: invalid_argument for more than were planned for, where they would be found again as if
/// they were computed (RuntimeConfig::use_cache, kv_ephemeral), for a session that was moved from,
/// and while another call runs; out_of_budget, io; cancelled.
OLLM_API Result<void> fill_at_random(Session& session, std::size_t tokens,
                                     OnProgress on_progress = nullptr,
                                     const CancellationToken* cancel = nullptr);

/// A prompt with the answer that somebody gave to it.
struct RecordedAnswer {
  std::vector<TokenId> prompt;
  std::vector<TokenId> answer;
};

/// Gives a recorded answer again: the prompt's keys and values are random but for its last token's,
/// then each token is computed and chosen as ever, and the recorded one takes its place. What it
/// takes is what the same answer takes where the model gives it, guesses included.
/// Errors: as `fill_at_random` and Session::generate; invalid_argument for a session that holds
/// tokens, for an empty prompt or answer.
OLLM_API Result<Generation> replay(Session& session, const RecordedAnswer& recorded,
                                   OnProgress on_progress = nullptr,
                                   const CancellationToken* cancel = nullptr);

}  // namespace ollm
