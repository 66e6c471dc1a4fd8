// A model reference once it was looked up: where it lies, which family it is, what it can do.
// Leaves to others: the lookup (resolve.h, inspect.h) and what will run it (runtime_plan.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/api.h"
#include "ollm/plan/catalog.h"
#include "ollm/plan/details.h"
#include "ollm/plan/reference.h"
#include "ollm/plan/wire_values.h"

namespace ollm {

/// What a model can do, by the catalog or by its files (docs/resolving.md §3).
struct CapabilityProfile {
  SupportLevel support_level = SupportLevel::unsupported;         // the best that may run it
  std::vector<ModelModality> modalities = {ModelModality::text};  // what it takes
  bool requires_processor = false;              // images or audio have to be prepared for it
  bool supports_disk_cache = true;              // keys and values may be kept on disk
  bool supports_local_materialization = false;  // its files may come, or are there
  bool supports_specialization = false;         // a provider of its family may run it
  Details details;                              // why, key by key

  /// Of a model of the catalog.
  OLLM_API static CapabilityProfile of_catalog(const CatalogEntry& entry);
  /// Of files that no provider takes.
  OLLM_API static CapabilityProfile generic(std::vector<ModelModality> modalities,
                                            bool requires_processor, bool supports_disk_cache,
                                            Details details);
  /// `materializable`: whether files of it may come or are there (what inspection found does).
  OLLM_API static CapabilityProfile unsupported(std::string reason, bool materializable);

  /// details.reason, or nullptr.
  const std::string* reason() const { return details.find("reason"); }

  friend bool operator==(const CapabilityProfile&, const CapabilityProfile&) = default;
};

/// What a reference names. Fields that may be absent are where nothing was found to tell them.
struct ResolvedModel {
  ModelReference reference;                               // what was asked for
  ModelSourceKind source_kind = ModelSourceKind::opaque;  // which rule found it
  std::string normalized_name;                            // one spelling for all of the same model
  /// Where it lies, or where a download would go; whether it is there tells the plan's model_path.
  std::optional<std::filesystem::path> model_path;
  std::optional<std::string> repo_id;                  // "org/name" on the hub
  std::optional<std::string> revision;                 // branch, tag or commit
  const CatalogEntry* catalog_entry = nullptr;         // of the constant table; nullptr without
  CapabilityProfile capabilities;                      // what it can do
  std::optional<NativeFamily> native_family;           // whose provider is asked
  std::string resolution_message;                      // for people
  std::optional<std::string> architecture;             // config.json: architectures[0]
  std::optional<std::string> model_type;               // config.json: model_type
  std::optional<GenericModelKind> generic_model_kind;  // what kind of model its files hold

  /// Whether a download would know what to fetch, and where to.
  bool is_downloadable() const { return repo_id.has_value() && model_path.has_value(); }

  friend bool operator==(const ResolvedModel&, const ResolvedModel&) = default;
};

}  // namespace ollm
