#include "ollm/plan/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ollm/io/file.h"
#include "ollm/plan/hub_cache.h"

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
      if (look(dir)) {
        out_.model.reference.scheme = "path";
        out_.model.reference.local_path = dir;
        return by_path(dir);
      }
    }
    return opaque();
  }

 private:
  // Rules 1 and 4.
  Resolution by_path(const std::filesystem::path& dir) {
    ResolvedModel& model = out_.model;
    model.source_kind = ModelSourceKind::local_path;
    model.model_path = dir;
    model.revision.reset();
    const std::string name = dir.filename().string();
    model.normalized_name = name.empty() ? dir.string() : name;
    const CatalogEntry* entry = find_alias(name);
    if (entry != nullptr) model.native_family = entry->family;
    look(dir);
    inspect();
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
    model.normalized_name = model.reference.identifier;
    model.resolution_message = fmt::format("Hugging Face repository '{}' is not on this machine",
                                           model.reference.identifier);
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
    model.resolution_message = fmt::format(
        "'{}' could not be resolved to a backend or a model folder", model.reference.raw);
    model.capabilities = CapabilityProfile::unsupported(model.resolution_message, false);
    return std::move(out_);
  }

  // Notes that a folder was looked for; whether it is there.
  bool look(const std::filesystem::path& dir) {
    if (out_.looked_in.empty() || out_.looked_in.back() != dir) out_.looked_in.push_back(dir);
    out_.materialized = is_directory(dir, calls_);
    return out_.materialized;
  }

  // The models folder first, then the hub's cache. Where it is in neither, the first is where a
  // download would go.
  void find_repository_folder(const std::string& folder) {
    const std::filesystem::path dir = options_.models_dir / folder;
    out_.model.model_path = dir;
    if (stays_below(folder) && look(dir)) return;
    if (!options_.hub_cache) return;
    out_.looked_in.push_back(*options_.hub_cache);
    auto snapshot =
        find_snapshot(*options_.hub_cache, *out_.model.repo_id, out_.model.revision, calls_);
    if (!snapshot.ok()) {
      out_.problem = std::move(snapshot).error();
    } else if (*snapshot) {
      out_.model.model_path = (*snapshot)->path;
      out_.materialized = true;
    }
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

ResolveOptions resolve_options(std::string_view models_dir, const Environment& environment) {
  return {.models_dir = absolute_path(models_dir, environment),
          .hub_cache = hub_cache_folder(environment)};
}

Resolution resolve(const ModelReference& reference, const ResolveOptions& options,
                   io::SystemCalls& calls) {
  return Lookup(reference, options, calls).by_rules();
}

std::string where_it_was_looked_for(const Resolution& resolution) {
  std::string out;
  const ResolvedModel& model = resolution.model;
  if (const std::string_view nearest = nearest_alias(model.reference.identifier);
      model.catalog_entry == nullptr && !nearest.empty())
    out += fmt::format("; did you mean {}?", nearest);
  std::string_view before = "; looked in ";
  for (const auto& place : resolution.looked_in) {
    out += before;
    out += place.string();
    before = ", ";
  }
  return out;
}

Result<std::vector<ModelReference>> discover_local(const std::filesystem::path& models_dir,
                                                   io::SystemCalls& calls) {
  std::vector<std::string> names;
  if (calls.list(models_dir.c_str(), kMaxModelFolders, &names) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return std::vector<ModelReference>();
    if (error == EOVERFLOW) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: more than {} entries", models_dir.string(), kMaxModelFolders));
    }
    return fail(ErrorKind::io,
                fmt::format("{}: {}", models_dir.string(), io::describe_errno(error)));
  }
  std::sort(names.begin(), names.end());
  std::vector<ModelReference> out;
  for (const std::string& name : names) {
    const std::filesystem::path dir = models_dir / name;
    if (name.starts_with('.') || !is_directory(dir, calls)) continue;
    ModelReference reference;
    reference.raw = dir.string();
    reference.local_path = resolve_links(dir, calls);
    reference.identifier = reference.local_path->string();
    out.push_back(std::move(reference));
  }
  return out;
}

}  // namespace ollm::plan
