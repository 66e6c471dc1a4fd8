// How much memory a step over a text takes for each byte of it, at most.
// Leaves what the steps are to normalizer.h and pre_tokenizer.h.
#pragma once

#include <algorithm>

namespace ollm::text {

/// Per byte that goes in.
struct Growth {
  double out = 1;   // bytes that come out
  double peak = 0;  // bytes held at one time in between, beside those that went in

  /// Of a step that writes its text anew, `out` bytes for each byte, into a string that begins with
  /// an eighth more room than the text has and doubles where that is not enough: then both are
  /// held.
  static Growth of_rewriting(double out) {
    double room = 1.125;
    double peak = std::max(out, room);
    for (; room < out; room *= 2) peak = std::max(peak, 2 * room);
    return {out, peak};
  }

  /// Of a step and one behind it, where what the first makes is held while the second runs, and
  /// what went in is not (normalizers), or is (pre-tokenizers, whose words are borrowed).
  Growth then(const Growth& next, bool holds_first) const {
    return {out * next.out, std::max(peak, (holds_first ? peak : out) + out * next.peak)};
  }
};

}  // namespace ollm::text
