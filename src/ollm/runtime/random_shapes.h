// The shapes of published models by name, as the config.json of a folder with random weights.
// Leaves to others: the weights (random_model.cc).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ollm::runtime {

/// config.json of a named shape; nothing for another name.
std::optional<std::string> config_of_shape(std::string_view name);

/// The names, each after a space.
std::string shape_names();

}  // namespace ollm::runtime
