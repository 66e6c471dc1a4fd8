// What a person types to name a model, taken apart: scheme, identifier, revision, or a path.
// Leaves to others: what is found under the name (resolve.h).
#pragma once

#include <cstddef>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/plan/resolved_model.h"

namespace ollm::io {
struct Environment;
class SystemCalls;
}  // namespace ollm::io

namespace ollm::plan {

/// Of a reference: PATH_MAX of Linux.
inline constexpr std::size_t kMaxReferenceBytes = 4096;

/// Parses a reference (docs/commands.md has all spellings). Without a scheme, what looks like a
/// path or names a folder in the working directory is a path. An address of the Hugging Face hub
/// (huggingface.co, hf.co, HF_ENDPOINT), as browsers and `git clone` have it, is the repository
/// that it shows; the name and password in it are left out of `raw`. No scheme is refused: unknown
/// ones resolve to nothing later. Errors: invalid_argument for a text that is blank, longer than
/// kMaxReferenceBytes or has control characters, for an empty scheme or path, for an `@` without
/// name or revision, and for an address of the hub that shows no model.
Result<ModelReference> parse_reference(std::string_view text, const io::Environment& environment,
                                       io::SystemCalls& calls);

}  // namespace ollm::plan
