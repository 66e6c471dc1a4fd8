// What a family makes of config.json: its config, read, and the composition that computes it.
// Leaves to others: who makes it (families.h, generic.h, blueprint.h).
#pragma once

#include "ollm/models/composition.h"
#include "ollm/models/model_config.h"

namespace ollm::models {

/// A model as its config tells it.
struct FamilyModel {
  ModelConfig config;
  Composition composition;
};

}  // namespace ollm::models
