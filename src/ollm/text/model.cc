// What models have in common (model.h).
// Leaves each model to its own file.
#include "ollm/text/model.h"

#include "ollm/text/byte_level.h"

namespace ollm::text {

Result<void> Model::tokenize_bytes(std::string_view word, ModelScratch& scratch,
                                   std::vector<TokenId>& out) const {
  std::string written;
  byte_level::append_encoded(written, word);
  return tokenize(written, scratch, out);
}

}  // namespace ollm::text
