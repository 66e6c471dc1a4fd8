// The built-in aliases: short names of models on the Hugging Face hub.
// Leaves to others: where they lie on this machine (resolve.h).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ollm/base/api.h"
#include "ollm/base/result.h"
#include "ollm/plan/wire_values.h"

namespace ollm {

/// One alias. The table is constant: entries are borrowed by pointer and never go.
struct CatalogEntry {
  std::string_view model_id;                  // the alias
  std::string_view repo_id;                   // "org/name" on the hub
  std::string_view summary;                   // for people
  std::span<const ModelModality> modalities;  // what it takes
  bool requires_processor = false;            // images or audio have to be prepared for it
  bool supports_disk_cache = true;            // keys and values may be kept on disk
  NativeFamily family = NativeFamily::llama;  // whose provider is asked
};

namespace plan {

/// All aliases, sorted by their bytes.
OLLM_API std::span<const CatalogEntry> catalog();

/// The entry of an alias, or nullptr; exact, upper and lower case differ.
OLLM_API const CatalogEntry* find_alias(std::string_view alias);
/// The entry of a repository, or nullptr.
OLLM_API const CatalogEntry* find_repository(std::string_view repo_id);

/// The alias that a mistyped name comes nearest to; empty where none is near.
OLLM_API std::string_view nearest_alias(std::string_view name);

/// Errors: not_found, naming all aliases and the nearest.
OLLM_API Result<const CatalogEntry*> require_alias(std::string_view alias);

}  // namespace plan
}  // namespace ollm
