// generation_config.json: what the makers of a model say about ending and sampling its text.
// Leaves to others: whether these are used (--model-defaults) and the sampling itself (engine/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"

namespace ollm::checkpoint {

/// Fields as Transformers spells them; what was absent, null or unreadable is absent here, and so
/// are ids written as -1, an old spelling of "none".
struct GenerationConfig {
  std::vector<std::int32_t> eos_token_ids;  // eos_token_id: one or several; each once
  std::optional<std::int32_t> bos_token_id;
  std::optional<std::int32_t> pad_token_id;

  std::optional<bool> do_sample;
  std::optional<double> temperature;         // >= 0
  std::optional<std::int32_t> top_k;         // >= 0; 0 keeps all
  std::optional<double> top_p;               // 0 < p <= 1
  std::optional<double> min_p;               // 0 <= p <= 1
  std::optional<double> typical_p;           // 0 < p <= 1
  std::optional<double> repetition_penalty;  // > 0; 1 changes nothing
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<std::int32_t> max_new_tokens;  // > 0
  std::optional<std::int32_t> max_length;      // > 0

  /// What was not readable, in the order of the fields above: one error a field, naming file, key,
  /// found and limit; one alone where the file as a whole is no JSON. All are of kind corrupt,
  /// unsupported for a file above the limit.
  std::vector<Error> unreadable;
  std::size_t unreadable_ids = 0;  // how many of them are of token ids; they come first
  bool unreadable_whole = false;   // whether the one is the whole file's

  /// Whether the makers' sampling may be used: to be asked before a field below do_sample is. One
  /// that is unreadable does not matter to anybody who does not sample by it.
  /// Errors: the first of `unreadable` but for those of token ids.
  Result<void> check_sampling() const;

  /// Of a file that could not be read as a whole.
  static GenerationConfig broken(Error error);
};

/// Parses the text of the file. Cannot fail: a field of the wrong type or out of its range is
/// absent and told in `unreadable`, and so is a text that is no JSON, as Transformers goes on
/// without either. Of a list of end tokens those that are readable count. Unknown fields are passed
/// over, unlike in config.json: the file carries the defaults of every decoding method of
/// Transformers (beam search, contrastive search, caches, compilation), none of which changes what
/// a model computes, and its effect here is opt-in but for the end tokens.
GenerationConfig parse_generation_config(std::string_view text, std::string_view file_name);

}  // namespace ollm::checkpoint
