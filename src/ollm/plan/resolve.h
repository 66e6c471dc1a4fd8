// From a model reference to a model: built-in alias, Hugging Face repository, or a local folder.
// Leaves to others: downloads, and what will run the model (select.h). Nothing is changed on disk.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/environment.h"
#include "ollm/io/system_calls.h"
#include "ollm/plan/inspect.h"
#include "ollm/plan/plans.h"
#include "ollm/plan/resolved_model.h"

namespace ollm::plan {

struct Resolution {
  ResolvedModel model;
  /// Whether model.model_path is a folder that exists.
  bool materialized = false;
  /// Where was looked, in this order, until it was found.
  std::vector<std::filesystem::path> looked_in;
  /// What the folder holds; nothing where there is none.
  std::optional<Inspection> inspection;
  /// Why a place could not be looked at (a broken hub cache, a folder that one may not enter), or
  /// what stands there instead of a model's folder; nothing else was found then.
  std::optional<Error> problem;
  /// A repository of the hub's cache that differs in upper and lower case alone, of what was not
  /// found.
  std::optional<std::string> other_case;
  /// Where more was found than was named: the snapshot of a folder of the hub's cache.
  std::vector<Decision> decisions;
};

struct ResolveOptions {
  std::filesystem::path models_dir;                // absolute
  std::optional<std::filesystem::path> hub_cache;  // hub_cache_folder()
  /// A name that is found nowhere may be that of a file in it; not looked at where empty.
  std::filesystem::path working_directory;
};

/// Models folder and hub cache by settings and environment.
ResolveOptions resolve_options(std::string_view models_dir, const io::Environment& environment);

/// By the first rule of docs/resolving.md §2 that holds: `models_dir` is looked up before the hub's
/// cache, and a revision never falls back to what has none. A name of one word is also looked for
/// in the cache, where it once was a whole id (gpt2). A folder of the cache (models--org--name), by
/// path or by name, is its snapshot; a path or name of a file is told what it is. What exists is
/// inspected: models of the catalog keep the catalog's capabilities, others get what was found.
Resolution resolve(const ModelReference& reference, const ResolveOptions& options,
                   io::SystemCalls& calls = io::posix());

/// For messages about a model that is not there: "; did you mean llama3-1B-chat?; looked in A, B".
std::string where_it_was_looked_for(const Resolution& resolution);

/// The same: "; fetch it with `hf download org/name`", or where models come from for a name of
/// nothing.
std::string how_to_get(const Resolution& resolution);

inline constexpr std::size_t kMaxModelFolders = 10'000;

/// The folders of `models_dir` as references by path, sorted by name, hidden ones left out; empty
/// where there is none.
/// Errors: io; unsupported above kMaxModelFolders entries.
Result<std::vector<ModelReference>> discover_local(const std::filesystem::path& models_dir,
                                                   io::SystemCalls& calls = io::posix());

}  // namespace ollm::plan
