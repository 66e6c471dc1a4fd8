// The built-in aliases: short names of models on the Hugging Face hub.
// Leaves to others: where they lie on this machine (resolve.h).
#pragma once

#include <span>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/plan/resolved_model.h"

namespace ollm::plan {

/// All aliases, sorted by their bytes.
std::span<const CatalogEntry> catalog();

/// The entry of an alias, or nullptr; exact, upper and lower case differ.
const CatalogEntry* find_alias(std::string_view alias);
/// The entry of a repository, or nullptr.
const CatalogEntry* find_repository(std::string_view repo_id);

/// The alias that a mistyped name comes nearest to; empty where none is near.
std::string_view nearest_alias(std::string_view name);

/// Errors: not_found, naming all aliases and the nearest.
Result<const CatalogEntry*> require_alias(std::string_view alias);

}  // namespace ollm::plan
