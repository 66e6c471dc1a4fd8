#include "ollm/openai/prompts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ollm/base/json_reader.h"
#include "ollm/openai/fields.h"
#include "ollm/openai/found.h"

namespace ollm::openai {
namespace {

using Problem = std::optional<RequestError>;

constexpr std::string_view kRoles = "one of system, developer, user, assistant, tool";
constexpr std::string_view kContents = "a text, or a list of parts of type text";
constexpr std::string_view kPrompts =
    "a text, a list of texts, a list of token ids, or a list of lists of token ids";

// What a message may bring that would change the answer, and that is not built.
constexpr std::string_view kUnbuiltMembers[] = {"tool_calls", "function_call", "audio"};

// A member that counts: neither absent nor null nor empty.
const Json* filled(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return nullptr;
  if (found->is_structured() && found->empty()) return nullptr;
  return &*found;
}

Problem read_parts(const Json& parts, const std::string& param, std::string& out) {
  if (parts.empty() || parts.size() > BodyLimits::kParts) {
    return refuse(
        param, fmt::format("expected 1 to {} parts, found {}", BodyLimits::kParts, parts.size()));
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", param, i);
    const Json& part = parts[i];
    if (!part.is_object()) return unexpected(place, "an object with type and text", part);
    const auto type = part.find("type");
    if (type == part.end()) return refuse(place + ".type", "is missing", kMissingParameter);
    if (!type->is_string()) return unexpected(place + ".type", "the text 'text'", *type);
    if (*type != "text") {
      return unexpected(place + ".type", "the text 'text', as nothing else can be read yet", *type,
                        kUnsupportedValue);
    }
    const auto text = part.find("text");
    if (text == part.end()) return refuse(place + ".text", "is missing", kMissingParameter);
    if (!text->is_string()) return unexpected(place + ".text", "a text", *text);
    if (i > 0) out += '\n';
    out += text->get_ref<const std::string&>();
  }
  return std::nullopt;
}

Problem read_role(const Json& message, const std::string& param, std::string& out) {
  const auto role = message.find("role");
  if (role == message.end() || role->is_null())
    return refuse(param + ".role", fmt::format("is missing: expected {}", kRoles),
                  kMissingParameter);
  if (!role->is_string()) return unexpected(param + ".role", kRoles, *role);
  out = role->get<std::string>();
  if (out == "developer") out = "system";  // what OpenAI calls it since its models reason
  for (const std::string_view known : {"system", "user", "assistant", "tool"})
    if (out == known) return std::nullopt;
  return unexpected(param + ".role", kRoles, *role, kInvalidValue);
}

Problem read_message(const Json& message, const std::string& param, Message& out) {
  if (!message.is_object()) return unexpected(param, "an object with role and content", message);
  if (auto wrong = read_role(message, param, out.role)) return wrong;
  for (const std::string_view name : kUnbuiltMembers) {
    if (filled(message, name) != nullptr)
      return refuse(fmt::format("{}.{}", param, name), "is not supported yet",
                    kUnsupportedParameter);
  }
  const std::string place = param + ".content";
  const auto content = message.find("content");
  if (content == message.end()) return refuse(place, "is missing", kMissingParameter);
  if (content->is_string()) {
    out.content = content->get<std::string>();
  } else if (content->is_array()) {
    if (auto wrong = read_parts(*content, place, out.content)) return wrong;
  } else {
    return unexpected(place, kContents, *content);
  }
  if (out.content.empty() && out.role == "user")
    return refuse(place, "expected what the user says, found an empty text");
  return std::nullopt;
}

// Ids of one prompt. The model's own bound is known later (encode.h).
Problem read_ids(const Json& list, const std::string& param, Prompt& out) {
  std::vector<TokenId> ids;
  ids.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& id = list[i];
    const std::string place = fmt::format("{}[{}]", param, i);
    if (!id.is_number_integer()) return unexpected(place, "a token id", id);
    if (id.is_number_unsigned() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() > std::numeric_limits<TokenId>::max()) {
      return unexpected(place, "a token id from 0 to 2147483647", id, kInvalidValue);
    }
    ids.push_back(id.get<TokenId>());
  }
  if (ids.empty()) return refuse(param, "expected one token or more, found none");
  out = Prompt::tokens(std::move(ids));
  return std::nullopt;
}

Problem read_text(const Json& text, const std::string& param, Prompt& out) {
  if (text.get_ref<const std::string&>().empty())
    return refuse(param, "expected a text, found an empty one");
  out = Prompt::raw(text.get<std::string>());
  return std::nullopt;
}

}  // namespace

Problem read_messages(const Json& value, CompletionRequest& out) {
  const std::string param = "messages";
  if (!value.is_array()) return unexpected(param, "a list of messages", value);
  if (value.empty() || value.size() > BodyLimits::kMessages) {
    return refuse(param, fmt::format("expected 1 to {} messages, found {}", BodyLimits::kMessages,
                                     value.size()));
  }
  std::vector<Message> messages(value.size());
  for (std::size_t i = 0; i < value.size(); ++i)
    if (auto wrong = read_message(value[i], fmt::format("{}[{}]", param, i), messages[i]))
      return wrong;
  const std::string& last = messages.back().role;
  if (last != "user" && last != "tool") {
    return refuse(fmt::format("{}[{}].role", param, value.size() - 1),
                  fmt::format("the last message is to be of the user or a tool, found '{}': there "
                              "is nothing to answer",
                              last));
  }
  out.prompts.assign(1, Prompt::chat(std::move(messages)));
  return std::nullopt;
}

Problem read_prompt(const Json& value, CompletionRequest& out) {
  const std::string param = "prompt";
  Prompt one;
  if (value.is_string()) {
    if (auto wrong = read_text(value, param, one)) return wrong;
    out.prompts.assign(1, std::move(one));
    return std::nullopt;
  }
  if (!value.is_array()) return unexpected(param, kPrompts, value);
  if (!value.empty() && value[0].is_number()) {
    if (auto wrong = read_ids(value, param, one)) return wrong;
    out.prompts.assign(1, std::move(one));
    return std::nullopt;
  }
  if (value.empty() || value.size() > BodyLimits::kPrompts) {
    return refuse(param, fmt::format("expected 1 to {} prompts, found {}", BodyLimits::kPrompts,
                                     value.size()));
  }
  const bool texts = value[0].is_string();
  std::vector<Prompt> prompts(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", param, i);
    const Json& entry = value[i];
    if (texts ? !entry.is_string() : !entry.is_array())
      return unexpected(place, i == 0 ? kPrompts : (texts ? "a text" : "a list of ids"), entry);
    if (auto wrong =
            texts ? read_text(entry, place, prompts[i]) : read_ids(entry, place, prompts[i]))
      return wrong;
  }
  out.prompts = std::move(prompts);
  return std::nullopt;
}

}  // namespace ollm::openai
