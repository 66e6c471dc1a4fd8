// Which experts earlier runs of a model wanted, kept beside the machine's profile: what a plan
// expects and whom a cache prefers. Never what is computed. Leaves to others: counting
// (weights/expert_cache.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/environment.h"
#include "ollm/io/system_calls.h"

namespace ollm::machine {

struct ExpertHistory {
  std::string model;          // as the user named it, for people
  std::vector<float> wanted;  // uses of late of each expert, layer by layer; at least 0
};

/// JSON; numbers have four digits.
std::string expert_history_json(const ExpertHistory& history);
/// Errors: corrupt, naming the key; unsupported above a limit.
Result<ExpertHistory> parse_expert_history(std::string_view json);

/// experts/KEY.json beside the profile; empty where no cache folder is known.
std::filesystem::path expert_history_path(const io::Environment& environment, std::string_view key);

/// What is stored of a model of so many experts; nothing where there is none, or none that can be
/// read, or of another number of experts.
std::optional<ExpertHistory> load_expert_history(const io::Environment& environment,
                                                 std::string_view key, std::size_t experts,
                                                 io::SystemCalls& calls = io::posix());
/// Errors: io, not_found where no cache folder is known.
Result<void> save_expert_history(const ExpertHistory& history, std::string_view key,
                                 const io::Environment& environment,
                                 io::SystemCalls& calls = io::posix());

/// All that can be read, by name of file.
std::vector<ExpertHistory> all_expert_histories(const io::Environment& environment,
                                                io::SystemCalls& calls = io::posix());

}  // namespace ollm::machine
