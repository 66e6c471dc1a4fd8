#include "ollm/plan/resolve.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/checkpoint/folder_paths.h"
#include "ollm/hub/cache.h"
#include "ollm/io/file.h"
#include "ollm/plan/catalog.h"
#include "ollm/plan/providers.h"

namespace ollm::plan {
namespace {

// Whether a name stays below the folder that it is put behind.
bool stays_below(std::string_view name) {
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = name.find('/', begin);
    const std::string_view part = name.substr(begin, slash - begin);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    begin = slash + 1;
  }
}

// One lookup: the reference, where to look, and what was found so far.
class Lookup {
 public:
  Lookup(const ModelReference& reference, const ResolveOptions& options, io::SystemCalls& calls)
      : options_(options), calls_(calls) {
    out_.model.reference = reference;
    out_.model.revision = reference.revision;
  }

  Resolution by_rules() {
    const ModelReference& reference = out_.model.reference;
    if (reference.local_path) return by_path(*reference.local_path);
    if (!reference.scheme)
      if (const CatalogEntry* entry = find_alias(reference.identifier))
        return by_catalog(*entry, ModelSourceKind::builtin);
    if (reference.is_huggingface_reference()) {
      if (const CatalogEntry* entry = find_repository(reference.identifier))
        return by_catalog(*entry, ModelSourceKind::hugging_face);
      return by_repository();
    }
    // A plain folder has no revisions, so a reference with one is none of these.
    if (!reference.revision && stays_below(reference.identifier)) {
      const std::filesystem::path dir = options_.models_dir / reference.identifier;
      if (look(dir)) return by_found_path(dir);
    }
    if (!reference.scheme && find_one_word()) return std::move(out_);
    if (const auto file = file_of_that_name()) return by_found_path(*file);
    return opaque();
  }

 private:
  // A path that the reference did not spell as one.
  Resolution by_found_path(const std::filesystem::path& path) {
    out_.model.reference.scheme = "path";
    out_.model.reference.local_path = path;
    out_.model.repo_id.reset();
    return by_path(path);
  }

  // "gpt2", and "models--org--name" as the cache spells it.
  bool find_one_word() {
    ModelReference& reference = out_.model.reference;
    std::string repository = hub::repository_of_folder(reference.identifier);
    if (repository.empty() && hub::is_repository_id(reference.identifier))
      repository = reference.identifier;
    if (repository.empty() || !find_in_cache(repository)) return false;
    out_.model.source_kind = ModelSourceKind::hugging_face;
    out_.model.repo_id = repository;
    out_.model.normalized_name = std::move(repository);
    inspect();
    return true;
  }

  // A name that was found nowhere, as a path from the working directory or the models folder where
  // something stands there that is no folder, or that one may not see.
  std::optional<std::filesystem::path> file_of_that_name() {
    const ModelReference& reference = out_.model.reference;
    if (reference.scheme || reference.revision || options_.working_directory.empty())
      return std::nullopt;
    for (const std::filesystem::path& folder : {options_.working_directory, options_.models_dir}) {
      if (folder == options_.models_dir && !stays_below(reference.identifier)) continue;
      const std::filesystem::path path = (folder / reference.identifier).lexically_normal();
      struct stat status{};
      if (calls_.stat(path.c_str(), &status) == 0 ? !S_ISDIR(status.st_mode) : errno == EACCES)
        return path;
    }
    return std::nullopt;
  }

  // Rules 1 and 4 (docs/resolving.md §2).
  Resolution by_path(const std::filesystem::path& dir) {
    ResolvedModel& model = out_.model;
    model.source_kind = ModelSourceKind::local_path;
    model.model_path = dir;
    model.revision.reset();
    const std::string name = dir.filename().string();
    model.normalized_name = name.empty() ? dir.string() : name;
    const CatalogEntry* entry = find_alias(name);
    if (entry != nullptr) model.native_family = entry->family;
    if (!look(dir)) {
      if (auto problem = what_stands_there(dir)) return unusable(*std::move(problem));
    } else if (is_repository_folder(dir)) {
      auto snapshot = hub::snapshot_of_folder(dir, calls_);
      if (!snapshot.ok()) return unusable(with_download(std::move(snapshot).error(), name));
      model.model_path = snapshot->path;
      out_.decisions.push_back(
          {"model.snapshot", snapshot->commit,
           fmt::format("{} is a model of the Hugging Face cache", quote_name(dir.native()))});
    }
    inspect();
    return std::move(out_);
  }

  // Why a path is no folder; nothing where nothing is there.
  std::optional<Error> what_stands_there(const std::filesystem::path& path) {
    struct stat status{};
    if (calls_.stat(path.c_str(), &status) == 0) {
      if (S_ISDIR(status.st_mode)) return std::nullopt;
      return checkpoint::no_folder(path, calls_);
    }
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return std::nullopt;
    return fail(ErrorKind::io,
                fmt::format("{}: {}", printable(path.native()), io::describe_errno(error)));
  }

  // models--ORG--NAME of the hub's cache, with snapshots/ and no model of its own.
  bool is_repository_folder(const std::filesystem::path& dir) {
    struct stat status{};
    return io::is_directory(dir / "snapshots", calls_) &&
           calls_.stat((dir / "config.json").c_str(), &status) != 0;
  }

  static Error with_download(Error error, std::string_view folder) {
    if (error.kind != ErrorKind::not_found) return error;
    if (const std::string id = hub::repository_of_folder(folder); !id.empty())
      error.message += fmt::format("; fetch it with `hf download {}`", id);
    return error;
  }

  // A path at which there is something, and no model.
  Resolution unusable(Error problem) {
    out_.materialized = false;
    out_.model.resolution_message = problem.message;
    out_.model.capabilities = CapabilityProfile::unsupported(problem.message, true);
    out_.problem = std::move(problem);
    return std::move(out_);
  }

  // Rules 2 and 3a.
  Resolution by_catalog(const CatalogEntry& entry, ModelSourceKind source) {
    ResolvedModel& model = out_.model;
    model.source_kind = source;
    model.normalized_name = entry.model_id;
    model.repo_id = entry.repo_id;
    model.catalog_entry = &entry;
    model.capabilities = CapabilityProfile::of_catalog(entry);
    model.native_family = entry.family;
    model.resolution_message =
        source == ModelSourceKind::builtin
            ? fmt::format("built-in optimized alias '{}' of {}", entry.model_id, entry.repo_id)
            : fmt::format("Hugging Face repository '{}' matches the built-in alias '{}'",
                          entry.repo_id, entry.model_id);
    const std::string folder =
        model.revision ? model.reference.materialization_name() : std::string(entry.model_id);
    find_repository_folder(folder);
    if (out_.materialized) inspect();
    return std::move(out_);
  }

  // Rules 3b and 3c.
  Resolution by_repository() {
    ResolvedModel& model = out_.model;
    const std::string folder = model.reference.materialization_name();
    model.source_kind = ModelSourceKind::hugging_face;
    model.repo_id = model.reference.identifier;
    find_repository_folder(folder);
    if (out_.materialized) {
      model.normalized_name = folder;
      inspect();
      return std::move(out_);
    }
    if (!out_.problem)
      if (const auto file = file_of_that_name()) return by_found_path(*file);
    model.normalized_name = model.reference.identifier;
    model.resolution_message = fmt::format("Hugging Face repository '{}' is not on this machine",
                                           printable(model.reference.identifier));
    model.capabilities = CapabilityProfile::unsupported(
        "the repository is not on this machine, so what it holds is not known", true);
    model.capabilities.details.set("source", "hugging-face");
    model.capabilities.details.set("repo_id", *model.repo_id);
    return std::move(out_);
  }

  // Rule 5.
  Resolution opaque() {
    ResolvedModel& model = out_.model;
    model.source_kind = ModelSourceKind::opaque;
    model.normalized_name = model.reference.identifier;
    model.resolution_message =
        fmt::format("'{}' could not be resolved to a backend or a model folder",
                    printable(model.reference.raw));
    model.capabilities = CapabilityProfile::unsupported(model.resolution_message, false);
    return std::move(out_);
  }

  // Notes that a folder was looked for; whether it is there.
  bool look(const std::filesystem::path& dir) {
    if (out_.looked_in.empty() || out_.looked_in.back() != dir) out_.looked_in.push_back(dir);
    out_.materialized = io::is_directory(dir, calls_);
    return out_.materialized;
  }

  // The models folder first, then the hub's cache. Where it is in neither, the first is where a
  // download would go.
  void find_repository_folder(const std::string& folder) {
    const std::filesystem::path dir = options_.models_dir / folder;
    out_.model.model_path = dir;
    if (stays_below(folder) && look(dir)) return;
    find_in_cache(*out_.model.repo_id);
  }

  bool find_in_cache(const std::string& repo_id) {
    if (!options_.hub_cache) return false;
    out_.looked_in.push_back(*options_.hub_cache);
    auto snapshot = hub::find_snapshot(*options_.hub_cache, repo_id, out_.model.revision, calls_);
    if (!snapshot.ok()) {
      out_.problem = std::move(snapshot).error();
    } else if (*snapshot) {
      out_.model.model_path = (*snapshot)->path;
      out_.materialized = true;
    } else {
      out_.other_case = hub::cached_in_other_case(*options_.hub_cache, repo_id, calls_);
    }
    return out_.materialized;
  }

  // What is there decides, but for models of the catalog, whose capabilities are the catalog's.
  void inspect() {
    ResolvedModel& model = out_.model;
    Inspection found = inspect_folder(*model.model_path, calls_);
    model.architecture = found.architecture;
    model.model_type = found.model_type;
    model.generic_model_kind = found.generic_model_kind;
    model.resolution_message = found.message;
    if (model.catalog_entry == nullptr) model.capabilities = found.capabilities;
    if (!model.native_family && found.architecture)
      model.native_family = family_of_architecture(*found.architecture);
    if (!out_.materialized) return;
    if (model.native_family) {
      model.capabilities.supports_specialization = true;
      model.capabilities.details.set("native_family", std::string(to_string(*model.native_family)));
    }
    out_.inspection = std::move(found);
  }

  const ResolveOptions& options_;
  io::SystemCalls& calls_;
  Resolution out_;
};

}  // namespace

ResolveOptions resolve_options(std::string_view models_dir, const io::Environment& environment) {
  return {.models_dir = io::absolute_path(models_dir, environment),
          .hub_cache = hub::cache_folder(environment),
          .working_directory = environment.working_directory};
}

Resolution resolve(const ModelReference& reference, const ResolveOptions& options,
                   io::SystemCalls& calls) {
  return Lookup(reference, options, calls).by_rules();
}

std::string where_it_was_looked_for(const Resolution& resolution) {
  std::string out;
  const ResolvedModel& model = resolution.model;
  if (const std::string_view nearest = nearest_alias(model.reference.identifier);
      resolution.other_case)
    out += fmt::format("; did you mean {}?", *resolution.other_case);
  else if (model.catalog_entry == nullptr && !nearest.empty())
    out += fmt::format("; did you mean {}?", nearest);
  std::string_view before = "; looked in ";
  for (const auto& place : resolution.looked_in) {
    out += before;
    out += printable(place.native());
    before = ", ";
  }
  return out;
}

std::string how_to_get(const Resolution& resolution) {
  const ResolvedModel& model = resolution.model;
  if (model.repo_id && hub::is_repository_id(*model.repo_id)) {
    const std::string& revision = model.revision.value_or("");
    const bool plain = std::all_of(revision.begin(), revision.end(), [](char c) {
      return std::string_view("-._/").find(c) != std::string_view::npos || (c >= '0' && c <= '9') ||
             (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
    if (revision.empty()) return fmt::format("; fetch it with `hf download {}`", *model.repo_id);
    if (plain)
      return fmt::format("; fetch it with `hf download {} --revision {}`", *model.repo_id,
                         revision);
  }
  if (model.reference.local_path) return {};
  return "; a model is a folder, an alias (`ollm models list`), or a repository of the Hugging "
         "Face "
         "hub (ORG/NAME, after `hf download ORG/NAME`)";
}

Result<std::vector<ModelReference>> discover_local(const std::filesystem::path& models_dir,
                                                   io::SystemCalls& calls) {
  std::vector<std::string> names;
  if (calls.list(models_dir.c_str(), kMaxModelFolders, &names) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return std::vector<ModelReference>();
    if (error == EOVERFLOW) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: more than {} entries", printable(models_dir.native()),
                              kMaxModelFolders));
    }
    return fail(ErrorKind::io,
                fmt::format("{}: {}", printable(models_dir.native()), io::describe_errno(error)));
  }
  std::sort(names.begin(), names.end());
  std::vector<ModelReference> out;
  for (const std::string& name : names) {
    const std::filesystem::path dir = models_dir / name;
    if (name.starts_with('.') || !io::is_directory(dir, calls)) continue;
    ModelReference reference;
    reference.raw = dir.string();
    reference.local_path = io::resolve_links(dir, calls);
    reference.identifier = reference.local_path->string();
    out.push_back(std::move(reference));
  }
  return out;
}

}  // namespace ollm::plan
