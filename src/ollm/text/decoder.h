// Decoders: how the strings of tokens become a text again.
// Leaves ids to strings to tokenizer.cc, and a text that grows id by id to decode_stream.h.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/pattern.h"

namespace ollm::text {

/// The kinds of tokenizer.json. Each takes the list of strings that the one before it left.
enum class DecoderKind {
  byte_level,     // characters of the byte-level alphabet to bytes, these to text; one string
  byte_fallback,  // a run of <0x..> to its characters, or U+FFFD for each where it is no UTF-8
  fuse,           // all strings into one
  strip,          // up to `start` and `stop` characters `content` off both ends of each string
  replace,        // `pattern` by `content` in each string
  metaspace,      // `content` to ' ', or to nothing in the first string (start = 1)
  wordpiece,      // `content` off the front, a space in front of others; `cleanup`
  bpe,            // `content` to ' ', or to nothing in the last string
  ctc,            // repeats and `content` dropped, `delimiter` to ' '; `cleanup`
};

struct DecoderStep {
  DecoderKind kind = DecoderKind::fuse;
  std::string content;
  std::string delimiter;
  std::size_t start = 0;
  std::size_t stop = 0;
  bool cleanup = false;
  std::shared_ptr<const Pattern> pattern;  // shared so that a step can be copied
};

/// Applies one step to a whole list. Errors: those of matching a pattern.
Result<void> apply(const DecoderStep& step, std::vector<std::string>& tokens,
                   RegexScratch& scratch);

/// One string by itself, for the kinds that look at nothing else (strip, replace).
Result<std::string> apply_to_one(const DecoderStep& step, std::string_view token,
                                 RegexScratch& scratch);

/// The value of a token <0x00> to <0xFF>, or -1.
int fallback_byte(std::string_view token);

/// English as BERT's decoder writes it: no space before . ? ! , and contractions joined.
std::string clean_up(std::string text);

/// The suffix of a BPEDecoder, wherever it stands; an empty one stands around every character.
void replace_suffix(std::string& text, std::string_view suffix, std::string_view to);

void replace_all(std::string& text, std::string_view from, std::string_view to);

}  // namespace ollm::text
