// A model reference once it was looked up: where it lies, which family it is, what it can do; and
// the wire values of all that: how they are spelt in JSON and on the command line.
// Leaves to others: the lookup (reference.h, resolve.h, inspect.h) and what will run it (plans.h).
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/value.h"

namespace ollm {

enum class SupportLevel { generic, optimized, unsupported };

enum class GenericModelKind { causal_lm, image_text_to_text, seq2seq_lm };

enum class ModelSourceKind { builtin, hugging_face, local_path, opaque };

enum class NativeFamily { llama, gemma3, gpt_oss, qwen3_next, voxtral };

enum class ModelModality { text, image, audio };

/// The wire value, e.g. "optimized", "image-text-to-text".
///@{
OLLM_API std::string_view to_string(SupportLevel value);
OLLM_API std::string_view to_string(GenericModelKind value);
OLLM_API std::string_view to_string(ModelSourceKind value);
OLLM_API std::string_view to_string(NativeFamily value);
OLLM_API std::string_view to_string(ModelModality value);
///@}

/// All values of an enumeration in their order, and back from a wire value; nothing for one that is
/// not there. Both are there for the enumerations of plans alone.
template <typename Enum>
std::span<const Enum> all_values();
template <typename Enum>
std::optional<Enum> from_wire(std::string_view text);

template <>
OLLM_API std::span<const SupportLevel> all_values<SupportLevel>();
template <>
OLLM_API std::optional<SupportLevel> from_wire<SupportLevel>(std::string_view text);
template <>
OLLM_API std::span<const GenericModelKind> all_values<GenericModelKind>();
template <>
OLLM_API std::optional<GenericModelKind> from_wire<GenericModelKind>(std::string_view text);
template <>
OLLM_API std::span<const ModelSourceKind> all_values<ModelSourceKind>();
template <>
OLLM_API std::optional<ModelSourceKind> from_wire<ModelSourceKind>(std::string_view text);
template <>
OLLM_API std::span<const NativeFamily> all_values<NativeFamily>();
template <>
OLLM_API std::optional<NativeFamily> from_wire<NativeFamily>(std::string_view text);
template <>
OLLM_API std::span<const ModelModality> all_values<ModelModality>();
template <>
OLLM_API std::optional<ModelModality> from_wire<ModelModality>(std::string_view text);

/// A small map that keeps its order, as the order is part of the JSON. Some twenty keys: looked up
/// one by one.
class Details {
 public:
  /// Key and value.
  using Entry = std::pair<std::string, std::string>;

  /// A key that is there keeps its place and takes the new value.
  void set(std::string_view key, std::string value) {
    for (Entry& entry : entries_) {
      if (entry.first == key) {
        entry.second = std::move(value);
        return;
      }
    }
    entries_.emplace_back(key, std::move(value));
  }

  /// The value, or nullptr.
  const std::string* find(std::string_view key) const {
    for (const Entry& entry : entries_)
      if (entry.first == key) return &entry.second;
    return nullptr;
  }

  /// Sets all entries of another, in their order.
  void merge(const Details& other) {
    for (const auto& [key, value] : other.entries_) set(key, value);
  }

  /// The entries, in the order of their keys.
  ///@{
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  ///@}

  friend bool operator==(const Details&, const Details&) = default;

 private:
  std::vector<Entry> entries_;
};

/// `llama3-1B-chat`, `org/name@revision`, `hf://org/name`, `hf:org/name`, `path:DIR`, `./DIR`,
/// `file:///DIR`, `https://huggingface.co/org/name/tree/revision`.
struct ModelReference {
  std::string raw;                                  // as typed, trimmed
  std::optional<std::string> scheme;                // lower case; hf for an address of the hub
  std::string identifier;                           // for a path: the path as text
  std::optional<std::string> revision;              // branch, tag or commit
  std::optional<std::filesystem::path> local_path;  // absolute, links resolved; need not exist

  /// Scheme hf; or no scheme and an identifier with "/" and without a space.
  OLLM_API bool is_huggingface_reference() const;
  /// The name of the folder that a download goes to: "/" and ":" of identifier and revision become
  /// "--", and so is the revision put behind.
  OLLM_API std::string materialization_name() const;

  friend bool operator==(const ModelReference&, const ModelReference&) = default;
};

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

  /// {support_level, modalities, requires_processor, supports_disk_cache,
  /// supports_local_materialization, supports_specialization, details}.
  OLLM_API Value as_dict() const;

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

  /// docs/formats/resolved_model.schema.json: what people are shown of it.
  OLLM_API Value as_dict() const;
  /// Whether a download would know what to fetch, and where to.
  bool is_downloadable() const { return repo_id.has_value() && model_path.has_value(); }

  friend bool operator==(const ResolvedModel&, const ResolvedModel&) = default;
};

}  // namespace ollm
