// A composition as text: every part with every constant that its family chose, so that two models
// compute alike if and only if their texts are equal. Leaves to others: what it is compared with.
#pragma once

#include <string>

#include "ollm/models/composition.h"

namespace ollm::models {

/// One line a part, in the order of a sweep. Numbers of f32 are written as hexadecimal floats,
/// which lose nothing; names of tensors are those that the composition has.
std::string composition_text(const Composition& composition);

}  // namespace ollm::models
