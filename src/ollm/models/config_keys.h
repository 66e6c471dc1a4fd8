// What becomes of keys of config.json that nobody read: without effect, of other types, or known to
// nobody. Leaves to others: which keys are read (models/<family>.cc).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/config_object.h"

namespace ollm::models {

/// Keys that were not read, with their full path, in the order of the file.
struct UnreadKeys {
  /// That some class of Transformers reads, or that publishers leave behind.
  std::vector<std::string> of_other_types;
  std::vector<std::string> unknown;
};

/// Of an object that was read. Left out are keys whose value is null and those that are
/// bookkeeping for every type: training, sampling, caches, labels, tools.
UnreadKeys sort_unread(const checkpoint::ConfigObject& config);

/// Those of `unknown` that `allowed` does not hold.
std::vector<std::string> refused_keys(const std::vector<std::string>& unknown,
                                      const std::vector<std::string>& allowed);

/// That nobody understands these. The way out is named where `allowing_helps`: where the model
/// would run without them.
Error not_understood(const std::vector<std::string>& keys, bool allowing_helps);

}  // namespace ollm::models
