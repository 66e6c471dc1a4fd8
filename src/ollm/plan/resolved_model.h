// A model reference once it was looked up: where it lies, which family it is, what it can do.
// Leaves to others: the lookup (resolve.h, inspect.h) and what will run it (runtime_plan.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/plan/catalog.h"
#include "ollm/plan/details.h"
#include "ollm/plan/reference.h"
#include "ollm/plan/wire_values.h"

namespace ollm {

/// What a model can do, by the catalog or by its files (spec/runtime-plan.md §6).
struct CapabilityProfile {
  SupportLevel support_level = SupportLevel::unsupported;
  std::vector<ModelModality> modalities = {ModelModality::text};
  bool requires_processor = false;
  bool supports_disk_cache = true;
  bool supports_local_materialization = false;
  bool supports_specialization = false;
  Details details;

  static CapabilityProfile of_catalog(const CatalogEntry& entry);
  static CapabilityProfile generic(std::vector<ModelModality> modalities, bool requires_processor,
                                   bool supports_disk_cache, Details details);
  /// `materializable`: whether files of it may come or are there (what inspection found does).
  static CapabilityProfile unsupported(std::string reason, bool materializable);

  /// details.reason, or nullptr.
  const std::string* reason() const { return details.find("reason"); }

  friend bool operator==(const CapabilityProfile&, const CapabilityProfile&) = default;
};

struct ResolvedModel {
  ModelReference reference;
  ModelSourceKind source_kind = ModelSourceKind::opaque;
  std::string normalized_name;
  /// Where it lies, or where a download would go; whether it is there tells the plan's model_path.
  std::optional<std::filesystem::path> model_path;
  std::optional<std::string> repo_id;
  std::optional<std::string> revision;
  const CatalogEntry* catalog_entry = nullptr;  // of the constant table; nullptr without
  CapabilityProfile capabilities;
  std::optional<NativeFamily> native_family;
  std::string resolution_message;
  std::optional<std::string> architecture;
  std::optional<std::string> model_type;
  std::optional<GenericModelKind> generic_model_kind;

  bool is_downloadable() const { return repo_id.has_value() && model_path.has_value(); }

  friend bool operator==(const ResolvedModel&, const ResolvedModel&) = default;
};

}  // namespace ollm
