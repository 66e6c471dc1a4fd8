// The Hugging Face cache on this machine, read only: models--ORG--NAME/{refs,snapshots,blobs}.
// Leaves to others: downloads, and the files of a snapshot (checkpoint/ModelFolder).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/environment.h"

namespace ollm::hub {

/// Where the cache is, as huggingface_hub finds it: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else
/// HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. Need not exist.
/// Nothing where no variable tells, HOME included.
std::optional<std::filesystem::path> cache_folder(const io::Environment& environment);

/// Whether a text may be the id of a repository, "org/name" or "name": letters, digits, "-", "_",
/// "." in up to 96 characters, no "--" or "..", neither "-" nor "." at the ends of a part.
bool is_repository_id(std::string_view text);

/// Whether a text may be a revision: a relative path of plain names, in up to 255 characters.
bool is_revision(std::string_view text);

/// The id of a repository from the name of its folder in the cache, "models--org--name"; empty
/// where it is none.
std::string repository_of_folder(std::string_view folder);

struct Snapshot {
  std::filesystem::path path;  // CACHE/models--ORG--NAME/snapshots/COMMIT
  std::string commit;          // 40 hexadecimal digits
};

/// The snapshot of a revision (a commit, branch, tag or "refs/pr/1"; without one: "main"); nothing
/// where it is not there. Only looks below models--ORG--NAME, which may be a link (to another
/// disk): neither a revision, nor the text of a file in refs/, nor a link below it leads outside.
/// Errors: invalid_argument for a repository id or revision that cannot be one; corrupt for a file
/// in refs/ that holds no commit, and for a link that leads outside; io.
Result<std::optional<Snapshot>> find_snapshot(const std::filesystem::path& cache,
                                              std::string_view repo_id,
                                              const std::optional<std::string>& revision,
                                              io::SystemCalls& calls);

/// The snapshot of a repository's folder in a cache (models--ORG--NAME, under any name): that of
/// refs/main, else the only one.
/// Errors: not_found where there is none; invalid_argument where several are there, naming some;
/// corrupt for a refs/main that holds no commit, and for a link that leads outside; io.
Result<Snapshot> snapshot_of_folder(const std::filesystem::path& repository,
                                    io::SystemCalls& calls);

/// The id of a repository of the cache that differs from this one in upper and lower case alone;
/// nothing where there is none, or the cache cannot be read.
std::optional<std::string> cached_in_other_case(const std::filesystem::path& cache,
                                                std::string_view repo_id, io::SystemCalls& calls);

/// A branch or tag that the cache holds.
struct CachedRevision {
  std::string repo_id;
  std::optional<std::string> revision;  // nothing for main
};

/// What the cache holds: each repository with main, and with its other branches and tags. A ref
/// whose snapshot is not there is left out; one that is broken is not, nor is a repository that
/// cannot be read (as main), so that its model can say so. What has not the name of a repository or
/// ref is passed over. Empty where there is no cache.
/// Errors: io; unsupported above kMaxCachedNames entries of the cache.
Result<std::vector<CachedRevision>> list_cached(const std::filesystem::path& cache,
                                                io::SystemCalls& calls);

inline constexpr std::size_t kMaxCachedNames = 10'000;

}  // namespace ollm::hub
