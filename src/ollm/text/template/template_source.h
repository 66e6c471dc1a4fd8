// Where a model folder keeps its chat templates, and the special tokens that templates print.
// Leaves to others: opening the files, and compiling what is found (chat_template.h).
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::text {

/// The sources of templates by name; the one without a name of its own is "default".
using ChatTemplateSources = std::map<std::string, std::string>;

/// The files of a model folder that say how messages become one text; nothing, or empty, where the
/// folder has none.
struct ChatTemplateFiles {
  std::optional<std::string_view> chat_template_jinja = {};
  ChatTemplateSources additional = {};  // additional_chat_templates/NAME.jinja, by NAME
  std::string_view tokenizer_config_json = {};
  std::string_view processor_config_json = {};
  std::string_view chat_template_json = {};  // where processors kept theirs before
};

/// What a folder's files say, as Transformers' tokenizer takes them: where there is a
/// chat_template.jinja or an additional one, only these count, and an additional one named
/// "default" goes before chat_template.jinja; else `chat_template` of tokenizer_config.json. A
/// tokenizer without any takes what the processor of the same folder would: `chat_template` of
/// processor_config.json, else of chat_template.json. In JSON it is one text, a list of {name,
/// template}, or an object of texts by name. Empty where none has any.
/// Errors: corrupt, where a JSON file that was asked is no JSON object or its templates have none
/// of these forms.
Result<ChatTemplateSources> chat_templates_of(const ChatTemplateFiles& files);

/// The source to render with: the one called `name`; without a name "tool_use" where the
/// conversation has tools, else "default". A single template of another name is not taken for the
/// default, as Transformers does not take it either.
/// Errors: not_found, naming those there are.
Result<std::string> choose_chat_template(const ChatTemplateSources& sources,
                                         std::optional<std::string_view> name, bool has_tools);

/// The variables that special tokens are to a template (bos_token, eos_token, unk_token, sep_token,
/// pad_token, cls_token, mask_token), as far as the files set them, from a text or an object with
/// `content`. An object, in that order. As in Transformers special_tokens_map.json goes before
/// tokenizer_config.json, unless that has an added_tokens_decoder: then it is not asked.
/// Errors: corrupt.
Result<nlohmann::ordered_json> special_token_variables(
    std::string_view tokenizer_config_json, std::string_view special_tokens_map_json = {});

}  // namespace ollm::text
