// The top level of tokenizer.json (tokenizer_json.h).
// Leaves the model to model_json.cc and the small blocks to tokenizer_blocks.cc.
#include "ollm/text/tokenizer_json.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "ollm/text/json_fields.h"
#include "ollm/text/model_json.h"
#include "ollm/text/tokenizer_blocks.h"

namespace ollm::text {
namespace {

namespace dom = simdjson::dom;

Result<Json> small_block(const dom::element& value, std::string_view name) {
  auto copied = copy_json(value);
  if (!copied.ok()) return std::move(copied).error().within(name);
  return copied;
}

Result<TokenizerParts> read(std::string_view bytes) {
  if (bytes.size() > kMaxTokenizerJsonBytes) {
    return fail(ErrorKind::unsupported,
                fmt::format("{} bytes; the limit is {}", bytes.size(), kMaxTokenizerJsonBytes));
  }
  dom::parser parser(kMaxTokenizerJsonBytes + 64);
  dom::element root;
  auto error = parser.allocate(bytes.size() + 64, kMaxJsonDepth);
  if (error == simdjson::SUCCESS) error = parser.parse(bytes.data(), bytes.size()).get(root);
  if (error != simdjson::SUCCESS) return json_error(error);
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS) {
    return fail(ErrorKind::corrupt, "expected a JSON object");
  }
  TokenizerParts parts;
  std::set<std::string_view> keys;
  for (const auto& [key, value] : object) {
    if (!keys.insert(key).second) {
      return fail(ErrorKind::corrupt, fmt::format("key '{}' stands twice", key));
    }
    if (key == "model") {
      dom::object model;
      if (value.get(model) != simdjson::SUCCESS) {
        return fail(ErrorKind::corrupt, "model: expected an object");
      }
      OLLM_TRY(parts.model, read_model(model));
    } else if (key == "added_tokens") {
      OLLM_TRY(const Json block, small_block(value, key));
      OLLM_TRY(parts.added_tokens, read_added_tokens(block));
    } else if (key == "normalizer") {
      OLLM_TRY(const Json block, small_block(value, key));
      OLLM_TRY(parts.normalizer, read_normalizer(block));
    } else if (key == "pre_tokenizer") {
      OLLM_TRY(const Json block, small_block(value, key));
      OLLM_TRY(parts.pre_tokenizer, read_pre_tokenizer(block));
    } else if (key == "post_processor") {
      OLLM_TRY(const Json block, small_block(value, key));
      OLLM_TRY(parts.post_processor, read_post_processor(block));
    } else if (key == "decoder") {
      OLLM_TRY(const Json block, small_block(value, key));
      parts.has_decoder = !block.is_null();
      OLLM_TRY(parts.decoder, read_decoder(block));
    }
  }
  if (!parts.model) return fail(ErrorKind::corrupt, "model is missing");
  return parts;
}

}  // namespace

Result<TokenizerParts> read_tokenizer_json(std::string_view bytes) {
  auto parts = read(bytes);
  if (!parts.ok()) return std::move(parts).error().within("tokenizer.json");
  return parts;
}

}  // namespace ollm::text
