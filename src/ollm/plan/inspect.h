// What a folder of a model holds, by our own reading of its config.json and of the headers of its
// tensors; code of the folder is never run. Leaves to others: what will run it (select.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/io/system_calls.h"
#include "ollm/plan/resolved_model.h"

namespace ollm::plan {

/// Everything that planning needs of a folder, read once.
struct Inspection {
  std::optional<std::string> architecture;  // the first of `architectures`, or that of the type
  bool architecture_by_type = false;        // as config.json names none
  std::optional<std::string> model_type;
  bool built_type = false;  // its own, or that of its text model
  std::optional<GenericModelKind> generic_model_kind;
  CapabilityProfile capabilities;
  bool requires_trust_remote_code = false;  // config.json names code by `auto_map`
  std::string message;                      // for people

  /// The folder, with weights where they are whole; nothing where config.json cannot be read.
  std::optional<checkpoint::ModelFolder> folder;
  /// Why the model cannot be loaded as it lies there: the folder, config.json or weights are
  /// missing or broken, or remote code is asked for. Its kind picks the exit code.
  std::optional<Error> problem;
};

/// Cannot fail: what is wrong with a folder is what was found (docs/resolving.md §3).
Inspection inspect_folder(const std::filesystem::path& dir, io::SystemCalls& calls);

}  // namespace ollm::plan
