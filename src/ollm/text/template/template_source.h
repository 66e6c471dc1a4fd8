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

/// What a folder's files say, in the order of Transformers: where there is a chat_template.jinja,
/// or files additional_chat_templates/NAME.jinja (`named_files`, by NAME), only these count; else
/// `chat_template` of tokenizer_config.json, which is one text, or a list of {name, template}.
/// Empty where none has any. An empty `tokenizer_config_json` stands for a file that is not there.
/// Errors: corrupt, where tokenizer_config.json is no JSON object or its templates are neither
/// form.
Result<ChatTemplateSources> chat_templates_of(std::string_view tokenizer_config_json,
                                              std::optional<std::string_view> chat_template_jinja,
                                              const ChatTemplateSources& named_files = {});

/// The source to render with: the one called `name`; without a name "tool_use" where the
/// conversation has tools, else "default", else the only one.
/// Errors: not_found, naming those there are.
Result<std::string> choose_chat_template(const ChatTemplateSources& sources,
                                         std::optional<std::string_view> name, bool has_tools);

/// The variables that special tokens are to a template (bos_token, eos_token, unk_token, sep_token,
/// pad_token, cls_token, mask_token), as far as tokenizer_config.json sets them, from a text or an
/// object with `content`. An object, in that order. Errors: corrupt.
Result<nlohmann::ordered_json> special_token_variables(std::string_view tokenizer_config_json);

}  // namespace ollm::text
