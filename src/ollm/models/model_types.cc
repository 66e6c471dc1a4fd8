#include "ollm/models/model_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "ollm/models/families.h"

namespace ollm::models {
namespace {

constexpr std::string_view kTransformersTypes[] = {
#include "ollm/models/transformers_types.inc"
};
static_assert(std::is_sorted(std::begin(kTransformersTypes), std::end(kTransformersTypes)));

// What some compute else under tensors that look alike.
struct DifferentType {
  std::string_view model_type;
  std::string_view how;
};
constexpr DifferentType kDifferentTypes[] = {
    {"gemma3", "its norms scale by 1 + weight and its layers alternate"},
    {"vaultgemma", "its norms scale by 1 + weight and its scores are capped"},
    {"nemotron", "its norms scale by 1 + weight"},
    {"helium", "its rotary turns interleaved pairs"},
};

}  // namespace

std::optional<std::string> why_not_built(std::string_view model_type) {
  if (find_family(model_type) != nullptr) return std::nullopt;
  for (const DifferentType& different : kDifferentTypes)
    if (different.model_type == model_type)
      return fmt::format("model type '{}' is not built: {}", model_type, different.how);
  if (!std::binary_search(std::begin(kTransformersTypes), std::end(kTransformersTypes), model_type))
    return std::nullopt;
  return fmt::format("model type '{}' is not built", model_type);
}

}  // namespace ollm::models
