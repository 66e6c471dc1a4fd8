// Post-processors: the special tokens around the ids of a text.
// Leaves pairs of texts out: a prompt is one text.
#pragma once

#include <cstddef>
#include <vector>

#include "ollm/base/token_id.h"

namespace ollm::text {

/// What TemplateProcessing, BertProcessing and RobertaProcessing come to for one text; in a
/// Sequence each puts its ids around those before. ByteLevel adds nothing.
struct PostProcessor {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  /// For each further time that a template has the text: the ids in front of it there.
  std::vector<std::vector<TokenId>> again;

  /// Whether it says anything about special tokens at all. Where it does not, the flags
  /// add_bos_token and add_eos_token of tokenizer_config.json count.
  bool decides = false;
};

}  // namespace ollm::text
