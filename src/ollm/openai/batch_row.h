// The rows of a batch in the form of OpenAI's API: a request in, an answer out.
// Leaves to others: files of rows, which are answered already, and running them (cli/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/openai/error.h"
#include "ollm/openai/fields.h"
#include "ollm/openai/request.h"

namespace ollm::openai {

/// One row of requests: {"custom_id", "method": "POST", "url", "body"}.
struct BatchRow {
  std::string id;  // see row_id
  /// By whom it is known; nothing for what is no request, of which `problem` tells why.
  std::optional<std::string> custom_id;
  std::string problem;
  /// Of a request that is refused before its body is read.
  std::optional<RequestError> refused;
  Route route = Route::chat;
  nlohmann::ordered_json body;
  /// Of a request that brings none: the first 8 bytes of SHA-256(custom_id, body), the highest
  /// first, the body as canonical_json has it.
  std::uint64_t seed = 0;
};

/// Reads a row, without its line end and not blank.
BatchRow read_batch_row(std::string_view row);

/// A row that is longer than BodyLimits::kRowBytes, by the digest of its bytes.
BatchRow too_long_row(std::string_view digest_hex);

/// "batch_" and the first 16 digits of a SHA-256: of the row as canonical_json has it, or of its
/// bytes where it is no JSON.
std::string row_id(std::string_view digest_hex);

/// The answer to a request, as a line without its end: status and body of HTTP, which is JSON in
/// one line.
std::string answer_line(const BatchRow& row, int status, std::string_view body);
/// The answer to what is no request, by its row number, from 1.
std::string problem_line(const BatchRow& row, std::size_t number);

/// What names an answer that stands in a file.
struct AnswerHead {
  std::string id;
  std::optional<std::string> custom_id;  // nothing: null
  std::optional<int> status;             // nothing where there is no response
  std::string system_fingerprint;        // empty where the body has none
};

/// Reads the head of an answer; `line` is written into. Nothing for what is no answer.
std::optional<AnswerHead> read_answer_head(std::string& line);

}  // namespace ollm::openai
