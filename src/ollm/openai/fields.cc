#include "ollm/openai/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/json_reader.h"
#include "ollm/openai/found.h"
#include "ollm/openai/prompts.h"

namespace ollm::openai {
namespace {

using Problem = std::optional<RequestError>;
using Request = CompletionRequest;

constexpr unsigned kChat = static_cast<unsigned>(Route::chat);
constexpr unsigned kCompletions = static_cast<unsigned>(Route::completions);
constexpr unsigned kBoth = kChat | kCompletions;

constexpr double kMaxTokens = 2147483648.0;  // positions of a model, as of the settings
constexpr double kShareMin = sampling::kSamplingFactorMin;
constexpr std::size_t kMaxModelBytes = 4096;  // as of the setting

Problem read_model(const Json& value, Request& out) {
  if (!value.is_string()) return unexpected("model", "a text", value);
  const auto& name = value.get_ref<const std::string&>();
  if (name.empty() || name.size() > kMaxModelBytes)
    return unexpected("model", fmt::format("a text of 1 to {} bytes", kMaxModelBytes), value,
                      kInvalidValue);
  out.model = name;
  return std::nullopt;
}

Problem read_seed(const Json& value, Request& out) {
  if (!value.is_number_integer())
    return unexpected("seed", "an integer from -2^63 to 2^64 - 1", value);
  out.seed = value.is_number_unsigned() ? value.get<std::uint64_t>()
                                        : static_cast<std::uint64_t>(value.get<std::int64_t>());
  out.options.sampling.seed = *out.seed;
  return std::nullopt;
}

Problem read_stop(const Json& value, Request& out) {
  const std::string takes = fmt::format("a text of 1 to {} bytes, or a list of at most {} of them",
                                        BodyLimits::kStopBytes, BodyLimits::kStops);
  if (!value.is_string() && !value.is_array()) return unexpected("stop", takes, value);
  if (value.is_array() && value.size() > BodyLimits::kStops)
    return unexpected("stop", takes, value, kInvalidValue);
  std::vector<std::string> stops;
  for (std::size_t i = 0; i < (value.is_array() ? value.size() : 1); ++i) {
    const Json& text = value.is_array() ? value[i] : value;
    const std::string place = value.is_array() ? fmt::format("stop[{}]", i) : "stop";
    const std::string bytes = fmt::format("a text of 1 to {} bytes", BodyLimits::kStopBytes);
    if (!text.is_string()) return unexpected(place, bytes, text);
    const auto& stop = text.get_ref<const std::string&>();
    if (stop.empty() || stop.size() > BodyLimits::kStopBytes)
      return unexpected(place, bytes, text, kInvalidValue);
    stops.push_back(stop);
  }
  out.options.stop = std::move(stops);
  return std::nullopt;
}

// The id that a key names: digits alone, so that no id has two keys.
std::optional<TokenId> bias_id(std::string_view key) {
  constexpr std::size_t kMaxDigits = 9;  // below 2^31; no vocabulary comes near
  if (key.empty() || key.size() > kMaxDigits || (key.size() > 1 && key[0] == '0'))
    return std::nullopt;
  TokenId id = 0;
  for (const char c : key) {
    if (c < '0' || c > '9') return std::nullopt;
    id = id * 10 + (c - '0');
  }
  return id;
}

Problem read_logit_bias(const Json& value, Request& out) {
  const std::string param = "logit_bias";
  if (!value.is_object()) return unexpected(param, "an object of token ids and numbers", value);
  if (value.size() > BodyLimits::kBiases) {
    return refuse(param, fmt::format("expected at most {} tokens, found {}", BodyLimits::kBiases,
                                     value.size()));
  }
  auto& biases = out.options.sampling.logit_bias;
  biases.clear();
  for (const auto& [key, bias] : value.items()) {
    const std::optional<TokenId> id = bias_id(key);
    if (!id)
      return refuse(param, fmt::format("expected token ids as keys, found {}", quote_name(key)));
    const std::string place = fmt::format("{}.{}", param, key);
    const std::string takes =
        fmt::format("a number from -{0} to {0}", static_cast<int>(BodyLimits::kBias));
    if (!bias.is_number()) return unexpected(place, takes, bias);
    const double number = bias.get<double>();
    if (!(std::abs(number) <= BodyLimits::kBias))
      return unexpected(place, takes, bias, kInvalidValue);
    biases.emplace_back(*id, static_cast<float>(number));
  }
  return std::nullopt;
}

Problem read_stream_options(const Json& value, Request& out) {
  if (!value.is_object()) return unexpected("stream_options", "an object", value);
  const auto usage = value.find("include_usage");
  if (usage == value.end() || usage->is_null()) return std::nullopt;
  if (!usage->is_boolean())
    return unexpected("stream_options.include_usage", "true or false", *usage);
  out.include_usage = usage->get<bool>();
  return std::nullopt;
}

void set_max_tokens(Request& request, std::size_t tokens) {
  request.options.max_new_tokens = tokens;
  request.max_tokens_given = true;
}

constexpr std::string_view kOfSettings = "the setting of that name";

constexpr std::array kFields{
    Field{.name = "messages",
          .routes = kChat,
          .reader = ReadValue(read_messages),
          .takes = "1 to 4096 messages `{\"role\", \"content\"}`",
          .left_out = kRequired,
          .summary = "the conversation; the last is the user's or a tool's. A content is a text or "
                     "a list of parts `{\"type\": \"text\", \"text\"}`, joined by line ends; "
                     "`developer` is `system`"},
    Field{.name = "prompt",
          .routes = kCompletions,
          .reader = ReadValue(read_prompt),
          .takes = "a text, token ids, or a list of up to 2048 of either",
          .left_out = kRequired,
          .summary = "what each answer goes on from; a list gives choices in its order"},
    Field{.name = "model",
          .routes = kBoth,
          .reader = ReadValue(read_model),
          .takes = "a text of 1 to 4096 bytes",
          .left_out = "the model that is loaded",
          .summary = "another one than that is `model_not_found`"},
    Field{.name = "max_completion_tokens",
          .routes = kChat,
          .reader = SetInteger(set_max_tokens),
          .min = 1,
          .max = kMaxTokens,
          .left_out = "the setting `max_new_tokens`, as far as the context has room",
          .summary = "the most tokens of an answer"},
    Field{.name = "max_tokens",
          .routes = kChat,
          .reader = SetInteger(set_max_tokens),
          .min = 1,
          .max = kMaxTokens,
          .left_out = "as above",
          .summary = "the same by its old name; not both"},
    Field{.name = "max_tokens",
          .routes = kCompletions,
          .reader = SetInteger(set_max_tokens),
          .min = 0,
          .max = kMaxTokens,
          .left_out = "as above",
          .summary = "the most tokens of an answer; 0 with `echo` looks at the prompt alone"},
    Field{.name = "n",
          .routes = kBoth,
          .reader = SetInteger([](Request& r, std::size_t n) { r.n = n; }),
          .min = 1,
          .max = BodyLimits::kAnswers,
          .left_out = "1",
          .summary = "answers to each prompt; answer i is drawn with seed + i"},
    Field{.name = "temperature",
          .routes = kBoth,
          .reader = SetNumber([](Request& r, double t) { r.options.sampling.temperature = t; }),
          .min = kShareMin,
          .max = 2,
          .zero_too = true,
          .left_out = kOfSettings,
          .summary = "above 0 tokens are drawn, at 0 the best is taken"},
    Field{.name = "top_p",
          .routes = kBoth,
          .reader = SetNumber([](Request& r, double p) { r.options.sampling.top_p = p; }),
          .min = kShareMin,
          .max = 1,
          .left_out = kOfSettings,
          .summary = "draw from the most probable that reach this share"},
    Field{.name = "top_k",
          .routes = kBoth,
          .reader = SetInteger([](Request& r, std::size_t k) { r.options.sampling.top_k = k; }),
          .min = 1,
          .max = kMaxTokens,
          .left_out = kOfSettings,
          .summary = "draw from this many of the most probable"},
    Field{.name = "min_p",
          .routes = kBoth,
          .reader = SetNumber([](Request& r, double p) { r.options.sampling.min_p = p; }),
          .min = kShareMin,
          .max = 1,
          .zero_too = true,
          .left_out = kOfSettings,
          .summary = "leave out what has less than this share of the first"},
    Field{.name = "typical_p",
          .routes = kBoth,
          .reader = SetNumber([](Request& r, double p) { r.options.sampling.typical_p = p; }),
          .min = kShareMin,
          .max = 1,
          .left_out = kOfSettings,
          .summary = "draw from the most typical that reach this share"},
    Field{.name = "seed",
          .routes = kBoth,
          .reader = ReadValue(read_seed),
          .takes = "an integer from -2^63 to 2^64 - 1",
          .left_out = "made for the request, and told",
          .summary = "of what is drawn; below 0 as the same 64 bits without sign"},
    Field{
        .name = "frequency_penalty",
        .routes = kBoth,
        .reader = SetNumber([](Request& r, double p) { r.options.sampling.frequency_penalty = p; }),
        .min = -2,
        .max = 2,
        .left_out = kOfSettings,
        .summary = "taken from the logit of a new token once for each time that it occurred"},
    Field{
        .name = "presence_penalty",
        .routes = kBoth,
        .reader = SetNumber([](Request& r, double p) { r.options.sampling.presence_penalty = p; }),
        .min = -2,
        .max = 2,
        .left_out = kOfSettings,
        .summary = "the same once"},
    Field{.name = "repetition_penalty",
          .routes = kBoth,
          .reader =
              SetNumber([](Request& r, double p) { r.options.sampling.repetition_penalty = p; }),
          .min = kShareMin,
          .max = 1e6,
          .left_out = kOfSettings,
          .summary = "above 1 makes what occurred, in the prompt too, less likely"},
    Field{.name = "logit_bias",
          .routes = kBoth,
          .reader = ReadValue(read_logit_bias),
          .takes = "at most 1024 token ids, each with a number from -100 to 100",
          .left_out = "none",
          .summary = "added to the logits before all else"},
    Field{.name = "stop",
          .routes = kBoth,
          .reader = ReadValue(read_stop),
          .takes = "a text of 1 to 256 bytes, or at most 16 of them",
          .left_out = kOfSettings,
          .summary = "an answer ends before any of these"},
    Field{.name = "ignore_eos",
          .routes = kBoth,
          .reader = SetFlag([](Request& r, bool on) { r.options.ignore_eos = on; }),
          .left_out = kOfSettings,
          .summary = "go on past end tokens, as vLLM and llama.cpp name it"},
    Field{.name = "logprobs",
          .routes = kChat,
          .reader = SetFlag([](Request& r, bool on) { r.logprobs = on; }),
          .left_out = "false",
          .summary = "how likely the model found each new token: of its bare logits, before bias, "
                     "penalties and temperature"},
    Field{.name = "top_logprobs",
          .routes = kChat,
          .reader = SetInteger([](Request& r, std::size_t top) { r.top_logprobs = top; }),
          .min = 0,
          .max = BodyLimits::kTopLogprobs,
          .left_out = "0",
          .summary = "so many of the likeliest beside each; with `logprobs` only"},
    Field{.name = "logprobs",
          .routes = kCompletions,
          .reader = SetInteger([](Request& r, std::size_t top) {
            r.logprobs = true;
            r.top_logprobs = top;
          }),
          .min = 0,
          .max = BodyLimits::kTopLogprobs,
          .left_out = "none",
          .summary = "both in one: how likely each token was found, and so many beside it"},
    Field{.name = "echo",
          .routes = kCompletions,
          .reader = SetFlag([](Request& r, bool on) { r.echo = on; }),
          .left_out = "false",
          .summary = "the prompt in front of each answer"},
    Field{.name = "stream",
          .routes = kBoth,
          .reader = SetFlag([](Request& r, bool on) { r.stream = on; }),
          .left_out = "false",
          .summary = "the answer in pieces; `ollm batch` refuses it"},
    Field{.name = "stream_options",
          .routes = kBoth,
          .reader = ReadValue(read_stream_options),
          .takes = "`{\"include_usage\": true or false}`",
          .left_out = "none",
          .summary = "whether the last piece tells `usage`; with `stream` only"},
    Field{.name = "return_progress",
          .routes = kBoth,
          .reader = SetFlag([](Request& r, bool on) { r.return_progress = on; }),
          .left_out = "false",
          .summary =
              "pieces that tell how far the prompt is read, as llama.cpp has them; counts in "
              "a stream only"},
};

constexpr std::array kUnbuilt{
    UnbuiltField{"tools", kChat, "[[]]"},
    UnbuiltField{"tool_choice", kChat, R"(["none", "auto"])"},
    UnbuiltField{"functions", kChat, "[[]]"},
    UnbuiltField{"function_call", kChat, R"(["none", "auto"])"},
    UnbuiltField{"response_format", kBoth, R"([{"type": "text"}])"},
    UnbuiltField{"reasoning_effort", kChat, "[]"},
    UnbuiltField{"modalities", kChat, R"([["text"]])"},
    UnbuiltField{"audio", kChat, "[]"},
    UnbuiltField{"web_search_options", kChat, "[]"},
    UnbuiltField{"verbosity", kChat, R"(["medium"])"},
    UnbuiltField{"documents", kChat, "[[]]"},
    UnbuiltField{"chat_template", kChat, "[]"},
    UnbuiltField{"chat_template_kwargs", kChat, "[{}]"},
    UnbuiltField{"add_generation_prompt", kChat, "[true]"},
    UnbuiltField{"continue_final_message", kChat, "[false]"},
    UnbuiltField{"suffix", kCompletions, R"([""])"},
    UnbuiltField{"best_of", kCompletions, "[1]"},
    UnbuiltField{"add_special_tokens", kCompletions, "[true]"},
    UnbuiltField{"min_tokens", kBoth, "[0]"},
    UnbuiltField{"n_predict", kBoth, "[-1]"},
    UnbuiltField{"stop_token_ids", kBoth, "[[]]"},
    UnbuiltField{"bad_words", kBoth, "[[]]"},
    UnbuiltField{"allowed_token_ids", kBoth, "[]"},
    UnbuiltField{"include_stop_str_in_output", kBoth, "[false]"},
    UnbuiltField{"prompt_logprobs", kBoth, "[]"},
    UnbuiltField{"use_beam_search", kBoth, "[false]"},
    UnbuiltField{"length_penalty", kBoth, "[1]"},
    UnbuiltField{"structured_outputs", kBoth, "[]"},
    UnbuiltField{"guided_json", kBoth, "[]"},
    UnbuiltField{"guided_regex", kBoth, "[]"},
    UnbuiltField{"guided_choice", kBoth, "[]"},
    UnbuiltField{"guided_grammar", kBoth, "[]"},
    UnbuiltField{"json_schema", kBoth, "[]"},
    UnbuiltField{"grammar", kBoth, R"([""])"},
    UnbuiltField{"mirostat", kBoth, "[0]"},
    UnbuiltField{"dynatemp_range", kBoth, "[0]"},
    UnbuiltField{"xtc_probability", kBoth, "[0]"},
    UnbuiltField{"dry_multiplier", kBoth, "[0]"},
    UnbuiltField{"top_n_sigma", kBoth, "[-1]"},
};

constexpr Limit kLimits[] = {
    {"body", "bytes", BodyLimits::kBytes, "of a request"},
    {"body", "row_bytes", BodyLimits::kRowBytes, "of a row of a batch"},
    {"body", "depth", BodyLimits::kDepth, "of lists and objects inside each other"},
    {"body", "keys_per_object", BodyLimits::kKeysPerObject, "of one object"},
    {"body", "messages", BodyLimits::kMessages, "of a chat"},
    {"body", "parts", BodyLimits::kParts, "of one message"},
    {"body", "prompts", BodyLimits::kPrompts, "of one request"},
    {"body", "answers", BodyLimits::kAnswers, "to each prompt (n)"},
    {"body", "stop_strings", BodyLimits::kStops, "of one request"},
    {"body", "stop_string_bytes", BodyLimits::kStopBytes, "of one stop string"},
    {"body", "top_logprobs", BodyLimits::kTopLogprobs, "beside each token"},
    {"body", "logit_bias_tokens", BodyLimits::kBiases, "of one request"},
};

std::string number_text(double value) {
  return std::abs(value) < 1e15 && std::floor(value) == value
             ? fmt::format("{}", static_cast<std::int64_t>(value))
             : fmt::format("{}", value);
}

Problem read_flag(const Field& field, SetFlag set, const Json& value, Request& out) {
  if (!value.is_boolean()) return unexpected(std::string(field.name), field.expects(), value);
  set(out, value.get<bool>());
  return std::nullopt;
}

Problem read_integer(const Field& field, SetInteger set, const Json& value, Request& out) {
  const std::string name(field.name);
  if (!value.is_number_integer()) return unexpected(name, field.expects(), value);
  const auto number = value.get<double>();  // its limits are far below 2^53
  if (!(number >= field.min && number <= field.max))
    return unexpected(name, field.expects(), value, kInvalidValue);
  set(out, value.get<std::size_t>());
  return std::nullopt;
}

Problem read_number(const Field& field, SetNumber set, const Json& value, Request& out) {
  const std::string name(field.name);
  if (!value.is_number()) return unexpected(name, field.expects(), value);
  const auto number = value.get<double>();
  const bool zero = field.zero_too && number == 0;
  if (!zero && !(number >= field.min && number <= field.max))  // a NaN fails both
    return unexpected(name, field.expects(), value, kInvalidValue);
  set(out, zero ? 0 : number);  // without the sign of -0.0
  return std::nullopt;
}

std::string_view routes_text(unsigned routes) {
  if (routes == kBoth) return "both";
  return routes == kChat ? "chat" : "completions";
}

}  // namespace

std::span<const Limit> limits() { return kLimits; }
std::span<const Field> fields() { return kFields; }
std::span<const UnbuiltField> unbuilt_fields() { return kUnbuilt; }

std::string Field::expects() const {
  if (std::holds_alternative<SetFlag>(reader)) return "true or false";
  if (std::holds_alternative<ReadValue>(reader)) return std::string(takes);
  const bool whole = std::holds_alternative<SetInteger>(reader);
  return fmt::format("{}{} from {} to {}", zero_too ? "0, or " : "",
                     whole ? "an integer" : "a number", number_text(min), number_text(max));
}

Problem read_field(const Field& field, const Json& value, CompletionRequest& out) {
  if (const auto* set = std::get_if<SetFlag>(&field.reader))
    return read_flag(field, *set, value, out);
  if (const auto* set = std::get_if<SetInteger>(&field.reader))
    return read_integer(field, *set, value, out);
  if (const auto* set = std::get_if<SetNumber>(&field.reader))
    return read_number(field, *set, value, out);
  return std::get<ReadValue>(field.reader)(value, out);
}

std::string fields_document() {
  std::string out = "| field | of | takes | left out | |\n|---|---|---|---|---|\n";
  for (const Field& field : kFields) {
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", field.name, routes_text(field.routes),
                       field.expects(), field.left_out, field.summary);
  }
  out += "\n| not built | of | taken all the same |\n|---|---|---|\n";
  for (const UnbuiltField& field : kUnbuilt) {
    std::string values = "null";
    for (const Json& value : Json::parse(field.harmless))
      values += fmt::format(", `{}`", value.dump());
    out += fmt::format("| `{}` | {} | {} |\n", field.name, routes_text(field.routes), values);
  }
  return out;
}

}  // namespace ollm::openai
