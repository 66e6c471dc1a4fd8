// The families that are built: each one file of data (models/<family>.cc) and a line in
// families.cc. Leaves to others: whether a plan takes a family or the generic composition (plan/).
#pragma once

#include <span>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/models/blueprint.h"
#include "ollm/models/model_config.h"

namespace ollm::models {

/// What a provider knows of its models.
struct Family {
  std::string_view name;                            // "llama": spec's NativeFamily
  std::string_view provider_id;                     // "llama-native"
  std::span<const std::string_view> architectures;  // config.json: architectures[0]

  /// Which blocks, from the config alone; the tensors are checked against them afterwards.
  /// Errors: unsupported for a key whose value this family does not have.
  Result<Blueprint> (*blueprint)(const ModelConfig& config);
};

/// In the order in which providers are asked.
std::span<const Family* const> families();

/// The family of an architecture, or nullptr.
const Family* find_family(std::string_view architecture);

extern const Family kLlama;

}  // namespace ollm::models
