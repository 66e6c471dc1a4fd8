// What a person types to name a model, taken apart: scheme, identifier, revision, or a path.
// Leaves to others: what is found under the name (resolve.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/api.h"
#include "ollm/base/result.h"

namespace ollm::io {
class SystemCalls;
}

namespace ollm {

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

namespace plan {

struct Environment;

/// Of a reference: PATH_MAX of Linux.
inline constexpr std::size_t kMaxReferenceBytes = 4096;

/// Parses a reference (docs/commands.md has all spellings). Without a scheme, what looks like a
/// path or names a folder in the working directory is a path. An address of the Hugging Face hub
/// (huggingface.co, hf.co, HF_ENDPOINT), as browsers and `git clone` have it, is the repository
/// that it shows; the name and password in it are left out of `raw`. No scheme is refused: unknown
/// ones resolve to nothing later. Errors: invalid_argument for a text that is blank, longer than
/// kMaxReferenceBytes or has control characters, for an empty scheme or path, for an `@` without
/// name or revision, and for an address of the hub that shows no model.
Result<ModelReference> parse_reference(std::string_view text, const Environment& environment,
                                       io::SystemCalls& calls);

}  // namespace plan
}  // namespace ollm
