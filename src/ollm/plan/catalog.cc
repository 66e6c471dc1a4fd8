#include "ollm/plan/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <vector>

#include "ollm/settings/fields.h"

namespace ollm::plan {
namespace {

constexpr ModelModality kText[] = {ModelModality::text};
constexpr ModelModality kTextImage[] = {ModelModality::text, ModelModality::image};
constexpr ModelModality kTextAudio[] = {ModelModality::text, ModelModality::audio};

// Sorted by the bytes of the alias.
constexpr std::array kCatalog{
    CatalogEntry{.model_id = "gemma3-12B",
                 .repo_id = "google/gemma-3-12b-it",
                 .summary = "Gemma 3 with 12 billion parameters, for text and images.",
                 .modalities = kTextImage,
                 .requires_processor = true,
                 .family = NativeFamily::gemma3},
    CatalogEntry{.model_id = "gpt-oss-20B",
                 .repo_id = "AnuarSh/gpt-oss-20B",
                 .summary = "gpt-oss, a mixture of experts with 20 billion parameters.",
                 .modalities = kText,
                 .supports_disk_cache = false,
                 .family = NativeFamily::gpt_oss},
    CatalogEntry{.model_id = "llama3-1B-chat",
                 .repo_id = "unsloth/Llama-3.2-1B-Instruct",
                 .summary = "Llama 3.2 with 1 billion parameters, tuned for chat.",
                 .modalities = kText,
                 .family = NativeFamily::llama},
    CatalogEntry{.model_id = "llama3-3B-chat",
                 .repo_id = "unsloth/Llama-3.2-3B-Instruct",
                 .summary = "Llama 3.2 with 3 billion parameters, tuned for chat.",
                 .modalities = kText,
                 .family = NativeFamily::llama},
    CatalogEntry{.model_id = "llama3-8B-chat",
                 .repo_id = "unsloth/Meta-Llama-3.1-8B-Instruct",
                 .summary = "Llama 3.1 with 8 billion parameters, tuned for chat.",
                 .modalities = kText,
                 .family = NativeFamily::llama},
    CatalogEntry{.model_id = "qwen3-next-80B",
                 .repo_id = "Qwen/Qwen3-Next-80B-A3B-Instruct",
                 .summary = "Qwen3-Next, a sparse mixture with 80 billion parameters.",
                 .modalities = kText,
                 .family = NativeFamily::qwen3_next},
    CatalogEntry{.model_id = "voxtral-small-24B",
                 .repo_id = "mistralai/Voxtral-Small-24B-2507",
                 .summary = "Voxtral Small with 24 billion parameters, for text and audio.",
                 .modalities = kTextAudio,
                 .requires_processor = true,
                 .family = NativeFamily::voxtral}};

}  // namespace

std::span<const CatalogEntry> catalog() { return kCatalog; }

const CatalogEntry* find_alias(std::string_view alias) {
  for (const CatalogEntry& entry : kCatalog)
    if (entry.model_id == alias) return &entry;
  return nullptr;
}

const CatalogEntry* find_repository(std::string_view repo_id) {
  for (const CatalogEntry& entry : kCatalog)
    if (entry.repo_id == repo_id) return &entry;
  return nullptr;
}

std::string_view nearest_alias(std::string_view name) {
  std::vector<std::string_view> names;
  for (const CatalogEntry& entry : kCatalog) names.push_back(entry.model_id);
  return settings::nearest_name(name, names);
}

Result<const CatalogEntry*> require_alias(std::string_view alias) {
  if (const CatalogEntry* entry = find_alias(alias)) return entry;
  std::vector<std::string_view> names;
  for (const CatalogEntry& entry : kCatalog) names.push_back(entry.model_id);
  const std::string_view nearest = nearest_alias(alias);
  return fail(ErrorKind::not_found,
              fmt::format("'{}' is not one of {}{}", alias, fmt::join(names, ", "),
                          nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest)));
}

}  // namespace ollm::plan
