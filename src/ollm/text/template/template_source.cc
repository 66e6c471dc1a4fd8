#include "ollm/text/template/template_source.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/text/json_fields.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text {
namespace {

using nlohmann::ordered_json;

Error corrupt(std::string_view file, std::string message) {
  return fail(ErrorKind::corrupt, fmt::format("{}: {}", file, message));
}

constexpr std::string_view kTokenizerConfig = "tokenizer_config.json";

// A file that is not there is an object without fields.
Result<ordered_json> parse_object(std::string_view text, std::string_view file) {
  if (text.empty()) return ordered_json::object();
  OLLM_TRY(ordered_json config, parse_small_json(text, file));
  if (!config.is_object()) return corrupt(file, "not a JSON object");
  return config;
}

// `chat_template` of a JSON file, in its three forms.
Result<ChatTemplateSources> templates_in(std::string_view json, std::string_view file) {
  OLLM_TRY(const ordered_json config, parse_object(json, file));
  ChatTemplateSources sources;
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return sources;
  if (found->is_string()) {
    sources["default"] = found->get<std::string>();
    return sources;
  }
  if (found->is_object()) {
    for (const auto& [name, source] : found->items()) {
      if (!source.is_string())
        return corrupt(file, fmt::format("chat_template: {} is no text", jinja::quoted(name)));
      sources[name] = source.get<std::string>();
    }
    return sources;
  }
  if (!found->is_array()) {
    return corrupt(file, "chat_template is neither a text nor templates with names");
  }
  for (const ordered_json& entry : *found) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() ||
        !entry.contains("template") || !entry["template"].is_string()) {
      return corrupt(
          file, fmt::format("chat_template[{}] has no text for name and template", sources.size()));
    }
    const std::string name = entry["name"].get<std::string>();
    if (!sources.emplace(name, entry["template"].get<std::string>()).second) {
      return corrupt(file,
                     fmt::format("chat_template has two templates named {}", jinja::quoted(name)));
    }
  }
  return sources;
}

// Names come from files and from a folder's listing: control characters of theirs are escaped, and
// only the first are told.
std::string names_of(const ChatTemplateSources& sources) {
  constexpr std::size_t kShown = 16;
  std::string names;
  std::size_t shown = 0;
  for (const auto& [name, source] : sources) {
    if (++shown > kShown) return names + fmt::format(" and {} more", sources.size() - kShown);
    names += (names.empty() ? "" : ", ") + jinja::quoted(name);
  }
  return names;
}

}  // namespace

Result<ChatTemplateSources> chat_templates_of(const ChatTemplateFiles& files) {
  if (files.chat_template_jinja || !files.additional.empty()) {
    ChatTemplateSources sources = files.additional;
    if (files.chat_template_jinja) sources.emplace("default", *files.chat_template_jinja);
    return sources;
  }
  for (const auto& [json, file] :
       {std::pair(files.tokenizer_config_json, kTokenizerConfig),
        std::pair(files.processor_config_json, std::string_view("processor_config.json")),
        std::pair(files.chat_template_json, std::string_view("chat_template.json"))}) {
    OLLM_TRY(ChatTemplateSources sources, templates_in(json, file));
    if (!sources.empty()) return sources;
  }
  return ChatTemplateSources();
}

Result<std::string> choose_chat_template(const ChatTemplateSources& sources,
                                         std::optional<std::string_view> name, bool has_tools) {
  if (sources.empty()) {
    return fail(ErrorKind::not_found,
                "the model has no chat template (chat_template.jinja, "
                "additional_chat_templates/NAME.jinja, or chat_template in tokenizer_config.json, "
                "processor_config.json or chat_template.json)");
  }
  const auto named = [&](std::string_view wanted) { return sources.find(std::string(wanted)); };
  if (name) {
    const auto found = named(*name);
    if (found != sources.end()) return found->second;
    return fail(ErrorKind::not_found, fmt::format("no chat template is named {}; there are {}",
                                                  jinja::quoted(*name), names_of(sources)));
  }
  if (const auto found = named("tool_use"); has_tools && found != sources.end()) {
    return found->second;
  }
  if (const auto found = named("default"); found != sources.end()) return found->second;
  return fail(ErrorKind::not_found,
              fmt::format("no chat template is the default; name one of {}", names_of(sources)));
}

Result<ordered_json> special_token_variables(std::string_view tokenizer_config_json,
                                             std::string_view special_tokens_map_json) {
  OLLM_TRY(const ordered_json config, parse_object(tokenizer_config_json, kTokenizerConfig));
  ordered_json map = ordered_json::object();
  constexpr std::string_view kMap = "special_tokens_map.json";
  if (!config.contains("added_tokens_decoder")) {
    OLLM_TRY(map, parse_object(special_tokens_map_json, kMap));
  }
  ordered_json variables = ordered_json::object();
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const bool in_map = map.contains(name);
    const ordered_json token = in_map ? map[name] : config.value(name, ordered_json());
    if (token.is_null()) continue;
    if (token.is_string()) {
      variables[name] = token;
    } else if (token.is_object() && token.contains("content") && token["content"].is_string()) {
      variables[name] = token["content"];
    } else {
      return corrupt(in_map ? kMap : kTokenizerConfig,
                     fmt::format("{} is neither a text nor an object with a content", name));
    }
  }
  return variables;
}

}  // namespace ollm::text
