// The Hugging Face cache on this machine, read only: models--ORG--NAME/{refs,snapshots,blobs}.
// Leaves to others: downloads (hub/), and the files of a snapshot (checkpoint/ModelFolder).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/plan/environment.h"

namespace ollm::plan {

/// Where the cache is, as huggingface_hub finds it: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else
/// HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. Need not exist.
/// Nothing where no variable tells, HOME included.
std::optional<std::filesystem::path> hub_cache_folder(const Environment& environment);

/// Whether a text may be the id of a repository, "org/name" or "name": letters, digits, "-", "_",
/// "." in up to 96 characters, no "--" or "..", neither "-" nor "." at the ends of a part.
bool is_repository_id(std::string_view text);

struct HubSnapshot {
  std::filesystem::path path;  // CACHE/models--ORG--NAME/snapshots/COMMIT
  std::string commit;          // 40 hexadecimal digits
};

/// The snapshot of a revision (a commit, branch, tag or "refs/pr/1"; without one: "main"); nothing
/// where it is not there. Only looks below models--ORG--NAME: neither a revision, nor the text of a
/// file in refs/, nor a link leads outside.
/// Errors: invalid_argument for a repository id or revision that cannot be one; corrupt for a file
/// in refs/ that holds no commit, and for a link that leads outside; io.
Result<std::optional<HubSnapshot>> find_snapshot(const std::filesystem::path& cache,
                                                 std::string_view repo_id,
                                                 const std::optional<std::string>& revision,
                                                 io::SystemCalls& calls);

/// References of what the cache holds, sorted: "org/name" where it has main, "org/name@v1" for its
/// other branches and tags, "hf://name" where there is no organisation. A ref whose snapshot is not
/// there is left out; one that is broken is not, so that its model can say so. Empty where there
/// is no cache.
/// Errors: io; unsupported above kMaxCachedNames entries of one folder.
Result<std::vector<std::string>> list_cached(const std::filesystem::path& cache,
                                             io::SystemCalls& calls);

inline constexpr std::size_t kMaxCachedNames = 10'000;

}  // namespace ollm::plan
