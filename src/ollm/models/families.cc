#include "ollm/models/families.h"

#include <algorithm>
#include <array>

namespace ollm::models {
namespace {

constexpr std::array<const Family*, 1> kFamilies{&kLlama};

}  // namespace

std::span<const Family* const> families() { return kFamilies; }

const Family* find_family(std::string_view architecture) {
  for (const Family* family : kFamilies) {
    const auto& names = family->architectures;
    if (std::find(names.begin(), names.end(), architecture) != names.end()) return family;
  }
  return nullptr;
}

}  // namespace ollm::models
