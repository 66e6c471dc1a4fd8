// Decoders one token at a time: what a token adds to the text for good.
// Leaves a whole list at once to decoder.h, which defines the text, and ids to
// streaming_detokenizer.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/decoder.h"

namespace ollm::text {

/// A chain of decoders in the middle of a text. Copies are cheap where no decoder needs the whole
/// text (none of the published chains does).
class DecodeStream {
 public:
  /// `steps` must outlive it. Without a decoder, tokens are joined by spaces.
  DecodeStream(std::span<const DecoderStep> steps, bool has_decoder);

  /// Appends to `out` what is certain now, whatever comes behind. Errors: those of patterns.
  Result<void> push(std::string_view token, std::string& out) { return run(0, token, out); }

  /// Appends what is still held back, as if the text ended here.
  Result<void> finish(std::string& out);

  /// Whether finish() may give more than U+FFFD for cut characters, so that the text so far is not
  /// what push() gave: BPEDecoder holds the last token, others everything.
  bool holds_text() const { return holds_text_; }

 private:
  enum class Kind { each, metaspace, wordpiece, bpe, ctc, fallback, bytes, strip, join, whole };
  struct Stage {
    Kind kind;
    std::span<const DecoderStep> steps;  // one, for `whole` all that are left
    bool first = true;                   // nothing came yet
    bool broken = false;                 // of `fallback`: the run is no UTF-8
    std::size_t stripped = 0;            // of `strip`: at the start
    std::string held;
    std::vector<std::string> tokens;  // of `whole`
    bool fused = false;               // of `whole`: all is one token
  };

  Result<void> run(std::size_t index, std::string_view token, std::string& out);
  Result<void> push_fallback(std::size_t index, std::string_view token, std::string& out);
  Result<void> end_fallback_run(std::size_t index, std::string& out);
  Result<void> push_bytes(std::size_t index, std::string_view token, std::string& out);
  Result<void> push_strip(std::size_t index, std::string_view text, std::string& out);
  Result<void> finish_stage(std::size_t index, std::string& out);

  std::vector<Stage> stages_;
  bool holds_text_ = false;
};

}  // namespace ollm::text
