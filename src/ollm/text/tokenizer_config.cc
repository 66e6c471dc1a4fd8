// What tokenizer_config.json and its like add to tokenizer.json (tokenizer_config.h).
// Leaves the chat template, which stands in the same file, to template/.
#include "ollm/text/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <utility>

#include "ollm/text/json_fields.h"
#include "ollm/text/sentencepiece_config.h"
#include "ollm/text/tokenizer_blocks.h"

namespace ollm::text {
namespace {

// The content of bos_token and its like: a string, or an object with `content`.
std::optional<std::string> token_content(const Fields& config, std::string_view name) {
  const Json& value = config.at(name);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    return value["content"].get<std::string>();
  }
  return std::nullopt;
}

// add_bos_token and add_eos_token, for a file whose post-processor adds nothing.
Result<void> add_flagged(const Fields& config, bool at_the_end, const AddedByDefault& by_default,
                         TokenizerContent& content) {
  const std::string_view flag = at_the_end ? "add_eos_token" : "add_bos_token";
  const std::string_view name = at_the_end ? "eos_token" : "bos_token";
  OLLM_TRY(const bool add, config.boolean(flag, at_the_end ? by_default.eos : by_default.bos));
  if (!add) return {};
  auto token = token_content(config, name);
  if (!token) token = at_the_end ? by_default.eos_token : by_default.bos_token;
  if (!token) {
    return fail(ErrorKind::corrupt,
                fmt::format("{}: {} is true and there is no {}", config.where(), flag, name));
  }
  const AddedToken* added = content.added.find(*token);
  const auto id =
      added != nullptr ? std::optional(added->id) : content.parts.model->vocabulary().find(*token);
  if (!id) {
    return fail(ErrorKind::corrupt,
                fmt::format("{}: {} '{}' is not in the vocabulary", config.where(), name, *token));
  }
  PostProcessor& post = content.parts.post_processor;
  (at_the_end ? post.after : post.before).push_back(*id);
  return {};
}

bool has_added(const TokenizerParts& parts, std::string_view content) {
  return std::any_of(parts.added_tokens.begin(), parts.added_tokens.end(),
                     [&](const AddedToken& token) { return token.content == content; });
}

void add_missing(AddedToken token, TokenizerParts& parts) {
  if (!has_added(parts, token.content)) parts.added_tokens.push_back(std::move(token));
}

// added_tokens_decoder: {"128000": {"content": ...}, ...}, in the order of the ids.
Result<void> add_from_decoder(const Fields& config, TokenizerParts& parts) {
  if (!config.has("added_tokens_decoder")) return {};
  OLLM_TRY(const Fields decoder, config.object("added_tokens_decoder"));
  std::map<std::int64_t, AddedToken> tokens;
  for (const auto& [key, value] : config.at("added_tokens_decoder").items()) {
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size()) {
      return fail(ErrorKind::corrupt, fmt::format("{}: '{}' is no id", decoder.where(), key));
    }
    OLLM_TRY(tokens[id], read_added_token(Fields(value, decoder.where()), id));
  }
  for (auto& [id, token] : tokens) add_missing(std::move(token), parts);
  return {};
}

// bos_token and its like, where no list of added tokens has them: a string, or an object with
// flags.
Result<void> add_special_token(const Json& value, const Fields& fields, TokenizerParts& parts) {
  AddedToken token;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    token.normalized = false;
  } else if (value.is_object()) {
    OLLM_TRY(token, read_added_token(Fields(value, fields.where()), 0));
  }
  token.special = true;
  if (!token.content.empty()) add_missing(std::move(token), parts);
  return {};
}

Result<void> add_special_tokens(const Fields& fields, TokenizerParts& parts) {
  for (const std::string_view name : {"bos_token", "eos_token", "unk_token", "sep_token",
                                      "pad_token", "cls_token", "mask_token"}) {
    OLLM_TRY_VOID(add_special_token(fields.at(name), fields, parts));
  }
  const Json& more = fields.at("additional_special_tokens");
  if (!more.is_array()) return {};
  for (const Json& value : more) OLLM_TRY_VOID(add_special_token(value, fields, parts));
  return {};
}

// added_tokens.json: {"<pad>": 32000, ...}, in the order of the ids.
Result<void> add_from_map(const Json& map, TokenizerParts& parts) {
  if (!map.is_object()) {
    return fail(ErrorKind::corrupt, "added_tokens.json: expected an object of token and id");
  }
  std::map<std::int64_t, std::string> tokens;
  for (const auto& [content, id] : map.items()) {
    if (!is_token_id(id)) {
      return fail(ErrorKind::corrupt,
                  fmt::format("added_tokens.json: '{}': expected an id, found {}", content,
                              id.dump(-1, ' ', true, Json::error_handler_t::replace)));
    }
    tokens[id.get<std::int64_t>()] = content;
  }
  for (auto& [id, content] : tokens) {
    add_missing({.content = content, .id = static_cast<TokenId>(id)}, parts);
  }
  return {};
}

Result<Json> parse(std::string_view bytes, std::string_view file) {
  if (bytes.empty()) return Json::object();
  auto parsed = parse_small_json(bytes, file);
  if (!parsed.ok()) return parsed;
  if (!parsed->is_object()) {
    return fail(ErrorKind::corrupt, fmt::format("{}: expected a JSON object", file));
  }
  return parsed;
}

// As Transformers does: added_tokens_decoder goes before the two older files.
Result<void> add_from_other_files(const TokenizerFiles& files, const Fields& config,
                                  TokenizerParts& parts) {
  if (config.has("added_tokens_decoder")) {
    OLLM_TRY_VOID(add_from_decoder(config, parts));
  } else {
    OLLM_TRY(const Json added, parse(files.added_tokens_json, "added_tokens.json"));
    OLLM_TRY_VOID(add_from_map(added, parts));
    OLLM_TRY(const Json map, parse(files.special_tokens_map_json, "special_tokens_map.json"));
    OLLM_TRY_VOID(add_special_tokens(Fields(map, "special_tokens_map.json"), parts));
  }
  return add_special_tokens(config, parts);
}

}  // namespace

Result<TokenizerContent> read_tokenizer_files(const TokenizerFiles& files) {
  OLLM_TRY(const Json config_json, parse(files.tokenizer_config_json, "tokenizer_config.json"));
  const Fields config(config_json, "tokenizer_config.json");
  TokenizerContent content;
  AddedByDefault by_default;
  std::string_view source = "tokenizer.json";
  if (!files.tokenizer_json.empty()) {
    OLLM_TRY(content.parts, read_tokenizer_json(files.tokenizer_json));
  } else if (!files.sentencepiece_model.empty()) {
    source = "tokenizer.model";
    OLLM_TRY(SentencePieceTokenizer read,
             read_sentencepiece_tokenizer(files.sentencepiece_model, config));
    content.parts = std::move(read.parts);
    by_default = std::move(read.by_default);
    // The flags that the config gives to a token go before those of its kind of piece.
    std::vector<AddedToken> pieces;
    std::swap(pieces, content.parts.added_tokens);
    OLLM_TRY_VOID(add_from_decoder(config, content.parts));
    for (AddedToken& token : pieces) add_missing(std::move(token), content.parts);
  } else {
    return fail(files.other_form.empty() ? ErrorKind::not_found : ErrorKind::unsupported,
                fmt::format("{}; {}",
                            files.other_form.empty()
                                ? "no tokenizer.json and no tokenizer.model"
                                : fmt::format("{}: this form of a tokenizer is not built, and "
                                              "there is no tokenizer.json",
                                              files.other_form),
                            kHowToGetTokenizerJson));
  }
  OLLM_TRY_VOID(add_from_other_files(files, config, content.parts));
  auto added = AddedTokens::make(std::move(content.parts.added_tokens),
                                 content.parts.model->vocabulary(), content.parts.normalizer.get());
  if (!added.ok()) {
    return std::move(added).error().within(fmt::format("{}: added_tokens", source));
  }
  content.added = std::move(added).value();
  content.parts.added_tokens.clear();
  if (!content.parts.post_processor.decides) {
    OLLM_TRY_VOID(add_flagged(config, false, by_default, content));
    OLLM_TRY_VOID(add_flagged(config, true, by_default, content));
  }
  return content;
}

}  // namespace ollm::text
