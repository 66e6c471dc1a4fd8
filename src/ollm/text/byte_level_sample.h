// A small byte-level tokenizer.json for tests: all 256 bytes, a few merges, and whatever a test
// changes. Leaves real vocabularies to the goldens.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ollm/text/byte_level.h"
#include "ollm/text/tokenizer.h"

namespace ollm::text {

/// Ids 0 to 255 are the bytes, 256 "he", 257 "ll", 258 "hell", 259 "hello"; added tokens 260 "<s>",
/// 261 "<|end|>", both special, and 262 "<think>", which is not.
inline nlohmann::json byte_level_sample() {
  nlohmann::json vocab = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[std::string(byte_level::char_of(static_cast<unsigned char>(byte)))] = byte;
  }
  int id = 256;
  for (const char* token : {"he", "ll", "hell", "hello"}) vocab[token] = id++;
  const auto added = [](int token_id, const char* content, bool special) {
    return nlohmann::json{{"id", token_id},    {"content", content}, {"single_word", false},
                          {"lstrip", false},   {"rstrip", false},    {"normalized", false},
                          {"special", special}};
  };
  return {
      {"version", "1.0"},
      {"added_tokens",
       {added(260, "<s>", true), added(261, "<|end|>", true), added(262, "<think>", false)}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"h e", "l l", "he ll", "hell o"}}}}};
}

/// The tokenizer of a JSON value, which must be a good one.
inline Tokenizer tokenizer_of(const nlohmann::json& json) {
  const std::string bytes = json.dump();
  TokenizerFiles files;
  files.tokenizer_json = bytes;
  auto made = Tokenizer::make(files);
  if (!made.ok()) throw std::runtime_error(made.error().message);  // fails the test
  return std::move(made).value();
}

}  // namespace ollm::text
