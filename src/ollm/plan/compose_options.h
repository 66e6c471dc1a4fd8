// What a caller vouches for of a folder that is not understood whole.
#pragma once

#include <string>
#include <vector>

namespace ollm::plan {

struct ComposeOptions {
  std::vector<std::string> allow_config_keys;     // that nobody knows
  std::vector<std::string> allow_unused_tensors;  // patterns of names, `*` for any characters
};

}  // namespace ollm::plan
