#include "ollm/text/template/template_source.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/text/json_fields.h"

namespace ollm::text {
namespace {

using nlohmann::ordered_json;

Error corrupt(std::string message) {
  return fail(ErrorKind::corrupt, "tokenizer_config.json: " + std::move(message));
}

Result<ordered_json> parse_config(std::string_view text) {
  if (text.empty()) return ordered_json::object();
  bool too_deep = false;
  const auto within_depth = [&too_deep](int depth, ordered_json::parse_event_t, ordered_json&) {
    too_deep = too_deep || depth > static_cast<int>(kMaxJsonDepth);
    return !too_deep;
  };
  ordered_json config = ordered_json::parse(text, within_depth, /*allow_exceptions=*/false);
  if (too_deep) return corrupt(fmt::format("nested more than {} deep", kMaxJsonDepth));
  if (!config.is_object()) return corrupt("not a JSON object");
  return config;
}

std::string names_of(const ChatTemplateSources& sources) {
  std::string names;
  for (const auto& [name, source] : sources) {
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
  }
  return names;
}

}  // namespace

Result<ChatTemplateSources> chat_templates_of(std::string_view tokenizer_config_json,
                                              std::optional<std::string_view> chat_template_jinja,
                                              const ChatTemplateSources& named_files) {
  if (chat_template_jinja || !named_files.empty()) {
    ChatTemplateSources sources = named_files;
    if (chat_template_jinja) sources["default"] = *chat_template_jinja;
    return sources;
  }
  OLLM_TRY(const ordered_json config, parse_config(tokenizer_config_json));
  ChatTemplateSources sources;
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return sources;
  if (found->is_string()) {
    sources["default"] = found->get<std::string>();
    return sources;
  }
  if (!found->is_array()) {
    return corrupt("chat_template is neither a text nor a list of templates with names");
  }
  for (const ordered_json& entry : *found) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() ||
        !entry.contains("template") || !entry["template"].is_string()) {
      return corrupt(
          fmt::format("chat_template[{}] has no text for name and template", sources.size()));
    }
    const std::string name = entry["name"].get<std::string>();
    if (!sources.emplace(name, entry["template"].get<std::string>()).second) {
      return corrupt(fmt::format("chat_template has two templates named '{}'", name));
    }
  }
  return sources;
}

Result<std::string> choose_chat_template(const ChatTemplateSources& sources,
                                         std::optional<std::string_view> name, bool has_tools) {
  if (sources.empty()) {
    return fail(ErrorKind::not_found,
                "the model has no chat template (chat_template.jinja, or chat_template in "
                "tokenizer_config.json)");
  }
  const auto named = [&](std::string_view wanted) { return sources.find(std::string(wanted)); };
  if (name) {
    const auto found = named(*name);
    if (found != sources.end()) return found->second;
    return fail(ErrorKind::not_found, fmt::format("no chat template is named '{}'; there are {}",
                                                  *name, names_of(sources)));
  }
  if (const auto found = named("tool_use"); has_tools && found != sources.end()) {
    return found->second;
  }
  if (const auto found = named("default"); found != sources.end()) return found->second;
  if (sources.size() == 1) return sources.begin()->second;
  return fail(ErrorKind::not_found,
              fmt::format("several chat templates and none is the default; name one of {}",
                          names_of(sources)));
}

Result<ordered_json> special_token_variables(std::string_view tokenizer_config_json) {
  OLLM_TRY(const ordered_json config, parse_config(tokenizer_config_json));
  ordered_json variables = ordered_json::object();
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const auto found = config.find(name);
    if (found == config.end() || found->is_null()) continue;
    if (found->is_string()) {
      variables[name] = *found;
    } else if (found->is_object() && found->contains("content") &&
               (*found)["content"].is_string()) {
      variables[name] = (*found)["content"];
    } else {
      return corrupt(fmt::format("{} is neither a text nor an object with a content", name));
    }
  }
  return variables;
}

}  // namespace ollm::text
