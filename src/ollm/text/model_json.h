// The block "model" of a tokenizer.json, vocabulary, merges and options.
// Leaves the rest of the file to tokenizer_json.h, and the models themselves to model.h.
#pragma once

#include <simdjson.h>

#include "ollm/base/result.h"
#include "ollm/text/model.h"

namespace ollm::text {

/// Reads the model. Errors: as read_tokenizer_json.
Result<ModelPtr> read_model(const simdjson::dom::object& object);

}  // namespace ollm::text
