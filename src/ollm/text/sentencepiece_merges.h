// The merges of a SentencePiece BPE model, which has pieces and scores only.
// Leaves reading the pieces to sentencepiece_model.h.
#pragma once

#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/model.h"
#include "ollm/text/vocabulary.h"

namespace ollm::text {

/// A piece as merging sees it.
struct MergeSource {
  float score = 0;
  bool mergeable = false;  // control, byte and unknown pieces are not
};

/// All pairs of pieces that joined are a piece, the one with the best score first, then that with
/// the smaller id, then the shorter left side; as Transformers' generate_merges has it.
/// `sources` are by id. Errors: unsupported beyond four million.
Result<std::vector<Merge>> sentencepiece_merges(const Vocabulary& vocabulary,
                                                std::span<const MergeSource> sources);

}  // namespace ollm::text
