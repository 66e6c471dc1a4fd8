// The one table of the fields of a body: what each takes, its limits, what it is where it is left
// out. Reading a body, docs/bodies.md and the tests that run for every field are made from it.
// Leaves to others: what fields mean together (request.cc), messages and prompts (prompts.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "ollm/ollm.h"
#include "ollm/openai/request.h"

namespace ollm::openai {

/// Beyond these a body is refused.
struct BodyLimits {
  static constexpr std::size_t kBytes = std::size_t{32} << 20;
  static constexpr std::size_t kRowBytes = kBytes + (std::size_t{64} << 10);  // of a batch
  static constexpr std::size_t kDepth = 64;
  static constexpr std::size_t kKeysPerObject = 10'000;
  static constexpr std::size_t kMessages = 4096;
  static constexpr std::size_t kParts = 4096;    // of one message
  static constexpr std::size_t kPrompts = 2048;  // of one body
  static constexpr std::size_t kAnswers = 8;     // n
  static constexpr std::size_t kStops = 16;
  static constexpr std::size_t kStopBytes = 256;
  static constexpr std::size_t kTopLogprobs = 20;
  static constexpr std::size_t kBiases = 1024;
  static constexpr double kBias = 100;  // and as much below 0
};

/// The same for people, as ollm::limits().
std::span<const Limit> limits();

/// How the value of a field gets into a request, and with that of which type it is: true or false,
/// a whole number, any number, or what the function itself says.
using SetFlag = void (*)(CompletionRequest&, bool);
using SetInteger = void (*)(CompletionRequest&, std::size_t);
using SetNumber = void (*)(CompletionRequest&, double);
using ReadValue = std::optional<RequestError> (*)(const nlohmann::ordered_json&,
                                                  CompletionRequest&);
using FieldReader = std::variant<SetFlag, SetInteger, SetNumber, ReadValue>;

/// What a field that has to be there is where it is left out.
inline constexpr std::string_view kRequired = "required";

/// One field that counts.
struct Field {
  std::string_view name = {};
  unsigned routes = 0;  // bits of Route
  FieldReader reader;
  /// Of integers and numbers; the ends belong to it.
  ///@{
  double min = 0;
  double max = 0;
  ///@}
  bool zero_too = false;           // 0 is taken as well, although it is below `min`
  std::string_view takes = {};     // of a ReadValue, in words
  std::string_view left_out = {};  // what it is then, in words; kRequired
  std::string_view summary = {};   // what it does

  /// What it takes, in words: "a number from -2 to 2".
  std::string expects() const;
};

/// One field that would change the answer, and that we cannot do: refused, unless its value is one
/// that asks for nothing.
struct UnbuiltField {
  std::string_view name;
  unsigned routes;
  std::string_view harmless;  // values that change nothing, as a JSON list; null is always one
};

/// In the order of docs/bodies.md.
std::span<const Field> fields();
std::span<const UnbuiltField> unbuilt_fields();

/// Reads one value of a field, which is not null, into `out`.
/// Errors: 400 with what was expected and what was found.
std::optional<RequestError> read_field(const Field& field, const nlohmann::ordered_json& value,
                                       CompletionRequest& out);

/// The tables of docs/bodies.md.
std::string fields_document();

}  // namespace ollm::openai
