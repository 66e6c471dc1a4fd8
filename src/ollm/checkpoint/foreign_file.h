// What a file is when it is not what its name says: from its first bytes, in a sentence for people.
// Leaves to others: when to ask (safetensors.h and model_folder.h, once a file was found wrong).
#pragma once

#include <optional>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::checkpoint {

/// How many first bytes of a file `foreign_file` wants to see.
inline constexpr std::size_t kForeignFileBytes = 512;

/// The kinds it knows: git-LFS pointer, HTML or XML page, GGUF, zip (PyTorch's form of a pickle
/// among them), bare pickle, gzip, JSON error of a server, empty.
/// Returns the error that fits best (its message says what the file is and what to do), or nothing
/// for bytes it does not know. Never call it for a file that is what it should be.
std::optional<Error> foreign_file(std::string_view first_bytes, std::uint64_t file_bytes);

/// The same for a file that should hold text: only the git-LFS pointer and the web page.
std::optional<Error> foreign_text(std::string_view first_bytes);

/// For a weights file by its name: why pickles (.bin, .pt, .pth, .ckpt), GGUF and other formats are
/// refused and what to do instead; nothing for a name that ends otherwise.
std::optional<Error> foreign_weights_name(std::string_view file_name);

}  // namespace ollm::checkpoint
