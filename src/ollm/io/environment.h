// What the process was started with, as a value: environment variables and working directory, so
// that a plan depends on nothing that a test cannot set. Leaves to others: what the names mean.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::io {

class SystemCalls;

/// Variables and working directory.
struct Environment {
  std::map<std::string, std::string, std::less<>> variables;  // by name
  std::filesystem::path working_directory;                    // absolute

  /// Of this process. Not while another thread changes the environment.
  OLLM_API static Environment of_process();

  /// The value of a variable; nothing where it is not set.
  OLLM_API std::optional<std::string_view> find(std::string_view name) const;
  /// The same, where an empty value counts as not set (HF_HOME and the like).
  OLLM_API std::optional<std::string_view> find_filled(std::string_view name) const;
};

/// A path as people write it, made absolute: "~" and "~/x" by HOME, the rest by the working
/// directory; "." and ".." are resolved in the text, links are left alone. "~user" stays a name.
OLLM_API std::filesystem::path absolute_path(std::string_view text, const Environment& environment);

/// An absolute path without links, as far as it exists; what does not exist is put behind, with "."
/// and ".." resolved in the text.
std::filesystem::path resolve_links(const std::filesystem::path& path, SystemCalls& calls);

/// Whether a folder is there, links followed.
bool is_directory(const std::filesystem::path& path, SystemCalls& calls);

}  // namespace ollm::io
