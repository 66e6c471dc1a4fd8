// Tokenizer and chat template of a model folder behind their handle.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "ollm/base/json_cursor.h"
#include "ollm/base/json_reader.h"
#include "ollm/io/environment.h"
#include "ollm/io/system_calls.h"
#include "ollm/plan/reference.h"
#include "ollm/plan/resolve.h"
#include "ollm/runtime/state.h"
#include "ollm/text/template/template_source.h"

namespace ollm {
namespace {

using Json = nlohmann::ordered_json;

// The clock that templates see: OLLM_NOW, or now.
Result<text::RenderClock> render_clock() {
  const io::Environment environment = io::Environment::of_process();
  const auto fixed = environment.find_filled("OLLM_NOW");
  if (!fixed) return text::RenderClock::now();
  Result<text::RenderClock> clock = text::RenderClock::parse(*fixed);
  if (!clock.ok()) return std::move(clock).error().within("OLLM_NOW");
  return clock;
}

// What is nested deeper is not built at all: copying and printing a value take a step of the stack
// for each level.
Result<Json> parse_object(std::string_view source, std::string_view what) {
  constexpr int kDepthMax = static_cast<int>(JsonLimits().depth);
  bool too_deep = false;
  const auto within_depth = [&](int depth, Json::parse_event_t, const Json&) {
    too_deep = too_deep || depth > kDepthMax;
    return !too_deep;
  };
  Json value = Json::parse(source, within_depth, false);
  if (too_deep) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: nested deeper than {}", what, kDepthMax));
  }
  if (value.is_object()) return value;
  return fail(ErrorKind::invalid_argument, fmt::format("{}: expected a JSON object", what));
}

RenderError render_error(text::TemplateError error) {
  return {std::move(error.error), std::move(error.kind), error.line, error.column};
}

RenderError render_error(Error error) { return {std::move(error), "runtime", 0, 0}; }

// The compiled template of the options, or why there is none.
std::variant<text::ChatTemplate, RenderError> compile(const Text::State& state,
                                                      const TemplateOptions& options,
                                                      bool has_tools) {
  std::string source = options.source;
  if (source.empty()) {
    Result<std::string> chosen = text::choose_chat_template(
        state.templates,
        options.name.empty() ? std::nullopt : std::optional<std::string_view>(options.name),
        has_tools);
    if (!chosen.ok()) return render_error(std::move(chosen).error());
    source = std::move(chosen).value();
  }
  auto compiled = text::ChatTemplate::compile(source);
  if (auto* error = std::get_if<text::TemplateError>(&compiled))
    return render_error(std::move(*error));
  return std::get<text::ChatTemplate>(std::move(compiled));
}

std::variant<text::RenderedPrompt, RenderError> render_with(const Text::State& state,
                                                            Json variables,
                                                            const TemplateOptions& options) {
  const auto tools = variables.find("tools");
  const bool has_tools = tools != variables.end() && !tools->is_null();
  auto compiled = compile(state, options, has_tools);
  if (auto* error = std::get_if<RenderError>(&compiled)) return std::move(*error);
  for (const auto& [name, token] : state.special_tokens.items())
    if (!variables.contains(name)) variables[name] = token;
  Result<text::RenderClock> clock = render_clock();
  if (!clock.ok()) return render_error(std::move(clock).error());
  auto rendered = std::get<text::ChatTemplate>(compiled).render(variables, *clock);
  if (auto* error = std::get_if<text::TemplateError>(&rendered))
    return render_error(std::move(*error));
  return std::get<text::RenderedPrompt>(std::move(rendered));
}

Result<Json> conversation(const Prompt& prompt, const TemplateOptions& options) {
  Json variables = Json::object();
  Json messages = Json::array();
  for (const Message& message : prompt.messages)
    messages.push_back({{"role", message.role}, {"content", message.content}});
  variables["messages"] = std::move(messages);
  // Transformers defines both for every template, and null where the caller has none.
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = true;
  if (!options.variables.empty()) {
    OLLM_TRY(const Json more, parse_object(options.variables, "template variables"));
    for (const auto& [name, value] : more.items()) variables[name] = value;
  }
  return variables;
}

}  // namespace

Prompt Prompt::raw(std::string text) {
  return {.text = std::move(text), .messages = {}, .ids = {}};
}

Prompt Prompt::chat(std::vector<Message> messages) {
  return {.text = std::nullopt, .messages = std::move(messages), .ids = {}};
}

Prompt Prompt::tokens(std::vector<TokenId> ids) {
  return {.text = std::nullopt, .messages = {}, .ids = std::move(ids)};
}

Text::Text(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Text> Text::open_folder(const checkpoint::ModelFolder& folder) {
  const auto read = [&](std::string_view name) -> Result<std::string> {
    OLLM_TRY(std::optional<std::string> content, folder.read_optional_text(name));
    return std::move(content).value_or(std::string());
  };
  OLLM_TRY(const std::string tokenizer_json, read("tokenizer.json"));
  OLLM_TRY(const std::string config_json, read("tokenizer_config.json"));
  OLLM_TRY(const std::string special_json, read("special_tokens_map.json"));
  OLLM_TRY(const std::string added_json, read("added_tokens.json"));
  // T5 has its own name for it.
  OLLM_TRY(const std::string sentencepiece,
           read(folder.has_file("tokenizer.model") ? "tokenizer.model" : "spiece.model"));
  std::string_view other_form;
  for (const std::string_view name : {"tiktoken.model", "tekken.json", "vocab.json"})
    if (other_form.empty() && folder.has_file(name)) other_form = name;
  OLLM_TRY(const std::optional<std::string> template_source,
           folder.read_optional_text("chat_template.jinja"));
  OLLM_TRY(text::ChatTemplateSources additional, folder.read_additional_chat_templates());
  OLLM_TRY(const std::string processor_json, read("processor_config.json"));
  OLLM_TRY(const std::string old_template_json, read("chat_template.json"));
  OLLM_TRY(text::Tokenizer tokenizer,
           text::Tokenizer::make({.tokenizer_json = tokenizer_json,
                                  .tokenizer_config_json = config_json,
                                  .special_tokens_map_json = special_json,
                                  .added_tokens_json = added_json,
                                  .sentencepiece_model = sentencepiece,
                                  .other_form = other_form}));
  OLLM_TRY(text::ChatTemplateSources templates,
           text::chat_templates_of({.chat_template_jinja = template_source,
                                    .additional = std::move(additional),
                                    .tokenizer_config_json = config_json,
                                    .processor_config_json = processor_json,
                                    .chat_template_json = old_template_json}));
  OLLM_TRY(Json special_tokens, text::special_token_variables(config_json, special_json));
  return Text(std::make_shared<const State>(
      State{std::move(tokenizer), std::move(templates), std::move(special_tokens)}));
}

Result<Text> Text::open(const Settings& settings) {
  const io::Environment environment = io::Environment::of_process();
  OLLM_TRY(const ModelReference reference,
           plan::parse_reference(settings.runtime.model_reference, environment, io::posix()));
  const plan::ResolveOptions options =
      plan::resolve_options(settings.runtime.models_dir, environment);
  const plan::Resolution resolution = plan::resolve(reference, options);
  if (!resolution.materialized) {
    // What a path names tells itself what it is.
    if (resolution.problem && reference.local_path)
      return fail(resolution.problem->kind, resolution.problem->message);
    std::string message = fmt::format("model '{}' is not there", printable(reference.raw));
    if (resolution.problem) message += ": " + resolution.problem->message;
    message += plan::where_it_was_looked_for(resolution);
    if (!resolution.problem) message += plan::how_to_get(resolution);
    return fail(resolution.problem ? resolution.problem->kind : ErrorKind::not_found,
                std::move(message));
  }
  OLLM_TRY(const checkpoint::ModelFolder folder,
           checkpoint::ModelFolder::open_without_weights(*resolution.model.model_path));
  return open_folder(folder);
}

Result<std::vector<TokenId>> Text::encode(std::string_view text,
                                          const EncodeOptions& options) const {
  return state_->tokenizer.encode(
      text, {.add_special = options.add_special, .parse_special = options.parse_special});
}

Result<std::string> Text::decode(std::span<const TokenId> ids, bool skip_special) const {
  return state_->tokenizer.decode(ids, skip_special);
}

Result<std::string> Text::decode_marked(std::span<const TokenId> ids) const {
  const text::Tokenizer& tokenizer = state_->tokenizer;
  std::string out;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= ids.size(); ++i) {
    if (i < ids.size() && !tokenizer.is_special(ids[i])) continue;
    OLLM_TRY(const std::string before, tokenizer.decode(ids.subspan(begin, i - begin), false));
    out += before;
    if (i < ids.size()) out += "\u27E6" + tokenizer.token_of(ids[i]).value_or("") + "\u27E7";
    begin = i + 1;
  }
  return out;
}

Result<std::string> Text::token_bytes(TokenId id) const {
  return state_->tokenizer.token_bytes(id);
}

bool Text::has_chat_template() const { return !state_->templates.empty(); }

std::optional<RenderError> Text::render(std::string_view variables_json,
                                        const TemplateOptions& options, std::string& out) const {
  Result<Json> variables = parse_object(variables_json, "variables");
  if (!variables.ok()) return render_error(std::move(variables).error());
  auto rendered = render_with(*state_, std::move(variables).value(), options);
  if (auto* error = std::get_if<RenderError>(&rendered)) return std::move(*error);
  out = std::move(std::get<text::RenderedPrompt>(rendered).text);
  return std::nullopt;
}

Result<EncodedPrompt> Text::encode_prompt(const Prompt& prompt,
                                          const TemplateOptions& options) const {
  if (prompt.messages.empty()) {
    if (!prompt.text) return EncodedPrompt{prompt.ids, {}};
    EncodedPrompt encoded;
    encoded.rendered = *prompt.text;
    OLLM_TRY(encoded.ids,
             state_->tokenizer.encode(
                 encoded.rendered, {.add_special = true, .parse_special = options.parse_special}));
    return encoded;
  }
  if (!has_chat_template() && options.source.empty()) {
    if (!options.name.empty()) {
      return fail(ErrorKind::not_found, fmt::format("chat template {}: the model's folder has none",
                                                    quote_name(options.name)));
    }
    if (!options.variables.empty())
      return fail(ErrorKind::invalid_argument,
                  "variables of a chat template: the model's folder has none");
    if (prompt.messages.size() == 1 && prompt.messages[0].role == "user")
      return encode_prompt(Prompt::raw(prompt.messages[0].content), options);
    return fail(ErrorKind::invalid_argument,
                "the model has no chat template: it takes one text, without system message or "
                "turns");
  }
  OLLM_TRY(Json variables, conversation(prompt, options));
  auto rendered = render_with(*state_, std::move(variables), options);
  if (auto* error = std::get_if<RenderError>(&rendered))
    return std::move(error->error).within("chat template");
  text::RenderedPrompt& whole = std::get<text::RenderedPrompt>(rendered);
  // What users write is text (docs/decisions/chat-templates.md). The template writes the first
  // token of a conversation itself, so that nothing is put around it.
  EncodedPrompt encoded;
  OLLM_TRY(encoded.ids,
           state_->tokenizer.encode(
               whole.text, {.add_special = false,
                            .parse_special = true,
                            .literal = options.parse_special ? std::span<const text::TextSpan>()
                                                             : whole.literal}));
  encoded.rendered = std::move(whole.text);
  return encoded;
}

std::size_t Text::generation_prompt_tokens(const Prompt& prompt, const TemplateOptions& options,
                                           const EncodedPrompt& encoded) const {
  if (prompt.messages.empty()) return 0;
  Result<Json> variables = conversation(prompt, options);
  if (!variables.ok()) return 0;
  (*variables)["add_generation_prompt"] = false;
  auto rendered = render_with(*state_, *std::move(variables), options);
  const auto* without = std::get_if<text::RenderedPrompt>(&rendered);
  if (without == nullptr || !encoded.rendered.starts_with(without->text)) return 0;
  const std::string_view end = std::string_view(encoded.rendered).substr(without->text.size());
  const auto ids = state_->tokenizer.encode(end, {.add_special = false, .parse_special = true});
  // Elsewhere the tokens of both may be others than those of each.
  if (!ids.ok() || ids->size() > encoded.ids.size() ||
      !std::equal(ids->rbegin(), ids->rend(), encoded.ids.rbegin()))
    return 0;
  return ids->size();
}

struct Text::Detokenizer::Decoder {
  std::shared_ptr<const Text::State> text;  // shared: the detokenizer borrows the tokenizer
  text::StreamingDetokenizer detokenizer;
};

Text::Detokenizer::Detokenizer(const Text& text, bool skip_special)
    : decoder_(new Decoder{text.state_,
                           text::StreamingDetokenizer(text.state_->tokenizer, skip_special)}) {}
Text::Detokenizer::Detokenizer(Detokenizer&&) noexcept = default;
Text::Detokenizer& Text::Detokenizer::operator=(Detokenizer&&) noexcept = default;
Text::Detokenizer::~Detokenizer() = default;

Result<std::string> Text::Detokenizer::push(TokenId id) {
  if (!decoder_) return fail(ErrorKind::invalid_argument, "the stream was moved from");
  return decoder_->detokenizer.push(id);
}
std::string Text::Detokenizer::finish() {
  return decoder_ ? decoder_->detokenizer.finish() : std::string();
}

std::string_view version() { return OLLM_VERSION; }

}  // namespace ollm
