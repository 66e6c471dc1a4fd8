// What tokenizer_config.json and its like add to tokenizer.json (tokenizer_config.h).
// Leaves the chat template, which stands in the same file, to template/.
#include "ollm/text/tokenizer_config.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "ollm/text/json_fields.h"

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

std::optional<TokenId> find_token(const TokenizerParts& parts, std::string_view content) {
  for (const AddedToken& token : parts.added_tokens) {
    if (token.content == content) return token.id;
  }
  return parts.model->vocabulary().find(content);
}

// add_bos_token and add_eos_token, for a file whose post-processor adds nothing.
Result<void> add_flagged(const Fields& config, bool at_the_end, TokenizerParts& parts) {
  const std::string_view flag = at_the_end ? "add_eos_token" : "add_bos_token";
  const std::string_view name = at_the_end ? "eos_token" : "bos_token";
  OLLM_TRY(const bool add, config.boolean(flag, false));
  if (!add) return {};
  const auto content = token_content(config, name);
  if (!content) {
    return fail(ErrorKind::corrupt,
                fmt::format("{}: {} is true and there is no {}", config.where(), flag, name));
  }
  const auto id = find_token(parts, *content);
  if (!id) {
    return fail(ErrorKind::corrupt, fmt::format("{}: {} '{}' is not in the vocabulary",
                                                config.where(), name, *content));
  }
  (at_the_end ? parts.post_processor.after : parts.post_processor.before).push_back(*id);
  return {};
}

Result<void> apply_config(std::string_view bytes, TokenizerParts& parts) {
  auto parsed = parse_small_json(bytes);
  if (!parsed.ok()) return std::move(parsed).error().within("tokenizer_config.json");
  const Fields config(*parsed, "tokenizer_config.json");
  if (!parts.post_processor.decides) {
    OLLM_TRY_VOID(add_flagged(config, false, parts));
    OLLM_TRY_VOID(add_flagged(config, true, parts));
  }
  return {};
}

}  // namespace

Result<TokenizerParts> read_tokenizer_files(const TokenizerFiles& files) {
  if (files.tokenizer_json.empty()) {
    if (!files.sentencepiece_model.empty()) {
      return fail(
          ErrorKind::unsupported,
          "tokenizer.model: SentencePiece models are not built; "
          "AutoTokenizer.from_pretrained(...).save_pretrained(...) of Transformers writes a "
          "tokenizer.json from it");
    }
    return fail(ErrorKind::not_found, "the folder has no tokenizer.json");
  }
  OLLM_TRY(TokenizerParts parts, read_tokenizer_json(files.tokenizer_json));
  if (!files.tokenizer_config_json.empty()) {
    OLLM_TRY_VOID(apply_config(files.tokenizer_config_json, parts));
  }
  return parts;
}

}  // namespace ollm::text
