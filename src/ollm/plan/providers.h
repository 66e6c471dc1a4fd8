// Who vouches for models of a family: the one table of providers and the architectures they take.
// Leaves to others: whether a provider's blocks are built (models/families.h), and what is planned
// (select.h).
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "ollm/plan/resolved_model.h"

namespace ollm::plan {

/// What takes models of one family.
struct Provider {
  std::string_view id;  // "llama-native"
  NativeFamily family;
  std::span<const std::string_view> architectures;  // config.json: architectures[0]
};

/// In the order in which they are asked.
std::span<const Provider> providers();

/// The family of an architecture; nothing for those that no provider takes.
std::optional<NativeFamily> family_of_architecture(std::string_view architecture);

}  // namespace ollm::plan
