// The pieces of an answer in the form of OpenAI's streams. Leaves to others: whole answers
// (openai/response.h), when a piece is sent (completions.cc).
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/request.h"
#include "ollm/openai/response.h"

namespace ollm::server {

class Chunks {
 public:
  /// All must outlive it. `names`: those of the whole answer.
  Chunks(const openai::ServedModel& model, const openai::CompletionRequest& request,
         const openai::AnswerNames& names)
      : model_(model), request_(request), names_(names) {}

  /// The beginning of a choice: who speaks, or the prompt where an echo was asked for.
  nlohmann::ordered_json first(std::size_t choice, const std::string& echoed) const;
  /// What is new of a choice. `told`: characters of it that were sent before.
  nlohmann::ordered_json text(std::size_t choice, const Piece& piece, std::size_t told) const;
  /// The end of a choice.
  nlohmann::ordered_json last(std::size_t choice, FinishReason reason) const;
  /// How far a prompt is read.
  nlohmann::ordered_json progress(std::size_t prompt_tokens, const Piece& piece,
                                  double seconds) const;
  /// The last piece, where it was asked for.
  nlohmann::ordered_json usage(const openai::Usage& usage) const;

 private:
  nlohmann::ordered_json chunk(nlohmann::ordered_json choices) const;
  nlohmann::ordered_json one(nlohmann::ordered_json choice) const;

  const openai::ServedModel& model_;
  const openai::CompletionRequest& request_;
  const openai::AnswerNames& names_;
};

/// What an answer took, as llama.cpp names it: of prompts "cache_n", "prompt_n", "prompt_ms",
/// "prompt_per_token_ms", "prompt_per_second", of new tokens "predicted_..." likewise.
nlohmann::ordered_json timings(const Report& report);

}  // namespace ollm::server
