// Turns matches and the text between them into words, by each of the five behaviours.
// Leaves finding the matches to who feeds it.
#pragma once

#include <cstddef>
#include <optional>

#include "ollm/text/pre_tokenizer.h"
#include "ollm/text/text_span.h"

namespace ollm::text {

/// Takes the stretches of one text from left to right, each a match or not, and emits words.
template <typename Emit>
class Splitter {
 public:
  Splitter(SplitBehavior behavior, const Emit& emit) : behavior_(behavior), emit_(emit) {}

  void add(TextSpan span, bool is_match) {
    switch (behavior_) {
      case SplitBehavior::removed:
        if (!is_match) emit_(span.begin, span.end);
        return;
      case SplitBehavior::isolated:
        emit_(span.begin, span.end);
        return;
      case SplitBehavior::merged_with_previous:
        hold(span, is_match && !held_is_match_);
        break;
      case SplitBehavior::merged_with_next:
        hold(span, !is_match && held_is_match_);
        break;
      case SplitBehavior::contiguous:
        hold(span, is_match == held_is_match_);
        break;
    }
    held_is_match_ = is_match;
  }

  void finish() {
    if (held_) emit_(held_->begin, held_->end);
    held_.reset();
  }

 private:
  void hold(TextSpan span, bool together) {
    if (held_ && together) {
      held_->end = span.end;
      return;
    }
    finish();
    held_ = span;
  }

  SplitBehavior behavior_;
  const Emit& emit_;
  std::optional<TextSpan> held_;
  bool held_is_match_ = false;
};

}  // namespace ollm::text
