// Model types that Transformers builds and that are not built here: refused by name, as their
// tensors may look like those of types that are. Leaves to others: those that are (families.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ollm::models {

/// "model type 'gemma2' is not built: its norms scale by 1 + weight and its scores are capped";
/// nothing for types that a family reads and for those that nobody knows.
std::optional<std::string> why_not_built(std::string_view model_type);

}  // namespace ollm::models
