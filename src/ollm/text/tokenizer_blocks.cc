// Reading post-processors, decoders and added tokens (tokenizer_blocks.h).
// Leaves normalizers and pre-tokenizers to tokenizer_blocks_steps.cc.
#include "ollm/text/tokenizer_blocks.h"

#include <fmt/format.h>

#include <utility>

#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

constexpr std::size_t kMaxRepeats = 1024;  // of Strip

Result<std::vector<TokenId>> token_ids(const Json& ids, const Fields& fields) {
  std::vector<TokenId> out;
  for (const Json& id : ids) {
    if (!is_token_id(id)) {
      return fields.wrong("special_tokens", "ids");
    }
    out.push_back(id.get<TokenId>());
  }
  return out;
}

// A template in a Sequence multiplies what those before it gave.
constexpr std::size_t kMaxTextRepeats = 64;

void append(std::vector<TokenId>& to, const std::vector<TokenId>& ids) {
  to.insert(to.end(), ids.begin(), ids.end());
}

// Puts the ids of one template around what the processors before it gave, each time that the
// template has it.
Result<void> add_template(const Fields& fields, PostProcessor& out) {
  OLLM_TRY(const Json* single, fields.array("single"));
  PostProcessor made;
  std::vector<TokenId> here;  // the ids since the text stood last
  bool behind = false;
  for (const Json& piece : *single) {
    const Fields item(piece, fields.where() + ": single");
    if (item.has("Sequence")) {
      OLLM_TRY(const Fields sequence, item.object("Sequence"));
      OLLM_TRY(const std::string id, sequence.string("id"));
      if (id != "A") {
        return fail(
            ErrorKind::unsupported,
            fmt::format("{}: a template for one text with another than \"A\"", item.where()));
      }
      append(here, out.before);
      if (behind) {
        made.again.push_back(std::move(here));
      } else {
        made.before = std::move(here);
      }
      made.again.insert(made.again.end(), out.again.begin(), out.again.end());
      if (made.again.size() >= kMaxTextRepeats) {
        return fail(ErrorKind::unsupported,
                    fmt::format("{}: a template that has the text more than {} times", item.where(),
                                kMaxTextRepeats));
      }
      here = out.after;
      behind = true;
      continue;
    }
    OLLM_TRY(const Fields special, item.object("SpecialToken"));
    OLLM_TRY(const std::string id, special.string("id"));
    OLLM_TRY(const Fields known, fields.object("special_tokens"));
    if (!known.has(id)) {
      return fail(ErrorKind::corrupt,
                  fmt::format("{}: '{}' is not among special_tokens", item.where(), id));
    }
    OLLM_TRY(const Fields token, known.object(id));
    OLLM_TRY(const Json* ids, token.array("ids"));
    OLLM_TRY(const std::vector<TokenId> numbers, token_ids(*ids, fields));
    append(here, numbers);
  }
  if (!behind) {
    return fail(ErrorKind::unsupported, fields.where() + ": a template without \"A\"");
  }
  made.after = std::move(here);
  made.decides = true;
  out = std::move(made);
  return {};
}

// ["</s>", 2], as BertProcessing and RobertaProcessing have it.
Result<TokenId> pair_id(const Fields& fields, std::string_view name) {
  const Json& pair = fields.at(name);
  const bool good =
      pair.is_array() && pair.size() == 2 && pair[0].is_string() && is_token_id(pair[1]);
  if (!good) return fields.wrong(name, "a pair of token and id");
  return pair[1].get<TokenId>();
}

Result<void> add_post_processor(const Json& block, const std::string& where, PostProcessor& out) {
  const Fields fields(block, where);
  OLLM_TRY(const std::string type, fields.string("type"));
  if (type == "ByteLevel") return {};  // moves offsets only
  if (type == "TemplateProcessing") return add_template(fields, out);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    OLLM_TRY(const TokenId cls, pair_id(fields, "cls"));
    OLLM_TRY(const TokenId sep, pair_id(fields, "sep"));
    out.before.insert(out.before.begin(), cls);
    out.after.push_back(sep);
    out.decides = true;
    return {};
  }
  if (type == "Sequence") {
    OLLM_TRY(const Json* steps, fields.array("processors"));
    for (const Json& step : *steps) OLLM_TRY_VOID(add_post_processor(step, where, out));
    return {};
  }
  return not_built(fields, type);
}

Result<void> add_decoder(const Json& block, const std::string& where,
                         std::vector<DecoderStep>& out) {
  const Fields fields(block, where);
  OLLM_TRY(const std::string type, fields.string("type"));
  if (type == "Sequence") {
    OLLM_TRY(const Json* steps, fields.array("decoders"));
    for (const Json& step : *steps) OLLM_TRY_VOID(add_decoder(step, where, out));
    return {};
  }
  DecoderStep step;
  if (type == "ByteLevel") {
    step.kind = DecoderKind::byte_level;
  } else if (type == "ByteFallback") {
    step.kind = DecoderKind::byte_fallback;
  } else if (type == "Fuse") {
    step.kind = DecoderKind::fuse;
  } else if (type == "Strip") {
    step.kind = DecoderKind::strip;
    OLLM_TRY(step.content, read_character(fields, "content"));
    OLLM_TRY(const std::int64_t start, fields.integer("start"));
    OLLM_TRY(const std::int64_t stop, fields.integer("stop"));
    for (const std::int64_t count : {start, stop}) {
      if (count < 0 || count > static_cast<std::int64_t>(kMaxRepeats)) {
        return fields.wrong(count == start ? "start" : "stop", "0 to 1024");
      }
    }
    step.start = static_cast<std::size_t>(start);
    step.stop = static_cast<std::size_t>(stop);
  } else if (type == "Replace") {
    step.kind = DecoderKind::replace;
    OLLM_TRY(Pattern pattern, read_pattern(fields));
    step.pattern = std::make_shared<const Pattern>(std::move(pattern));
    OLLM_TRY(step.content, fields.string("content"));
  } else if (type == "Metaspace") {
    step.kind = DecoderKind::metaspace;
    OLLM_TRY(step.content, read_character(fields, "replacement"));
    OLLM_TRY(const bool add_prefix_space, fields.boolean("add_prefix_space", true));
    OLLM_TRY(const std::string scheme,
             fields.string("prepend_scheme", add_prefix_space ? "always" : "never"));
    step.start = scheme == "never" ? 0 : 1;
  } else if (type == "WordPiece") {
    step.kind = DecoderKind::wordpiece;
    OLLM_TRY(step.content, fields.string("prefix"));
    OLLM_TRY(step.cleanup, fields.boolean("cleanup"));
  } else if (type == "BPEDecoder") {
    step.kind = DecoderKind::bpe;
    OLLM_TRY(step.content, fields.string("suffix"));
  } else if (type == "CTC") {
    step.kind = DecoderKind::ctc;
    OLLM_TRY(step.content, fields.string("pad_token"));
    OLLM_TRY(step.delimiter, fields.string("word_delimiter_token"));
    OLLM_TRY(step.cleanup, fields.boolean("cleanup"));
  } else {
    return not_built(fields, type);
  }
  out.push_back(std::move(step));
  return {};
}

}  // namespace

Error not_built(const Fields& fields, std::string_view type) {
  return fail(ErrorKind::unsupported,
              fmt::format("{}: type '{}' is not built", fields.where(), type.substr(0, 64)));
}

Result<std::string> read_character(const Fields& fields, std::string_view name) {
  OLLM_TRY(std::string character, fields.string(name));
  if (character.empty() || unicode::utf8_length(character[0]) != character.size()) {
    return fields.wrong(name, "one character");
  }
  return character;
}

Result<Pattern> read_pattern(const Fields& fields) {
  OLLM_TRY(const Fields pattern, fields.object("pattern"));
  if (pattern.has("String")) {
    OLLM_TRY(std::string plain, pattern.string("String"));
    // Nothing is found everywhere, as the library's search for it does.
    if (!plain.empty()) return Pattern(std::move(plain));
  }
  std::string regex;
  if (!pattern.has("String")) {
    OLLM_TRY(regex, pattern.string("Regex"));
  }
  auto compiled = Regex::make(regex);
  if (!compiled.ok()) return std::move(compiled).error().within(fields.where());
  return Pattern(std::move(compiled).value());
}

Result<PostProcessor> read_post_processor(const Json& block) {
  PostProcessor out;
  if (block.is_null()) return out;
  OLLM_TRY_VOID(add_post_processor(block, "post_processor", out));
  return out;
}

Result<std::vector<DecoderStep>> read_decoder(const Json& block) {
  std::vector<DecoderStep> out;
  if (block.is_null()) return out;
  OLLM_TRY_VOID(add_decoder(block, "decoder", out));
  return out;
}

Result<AddedToken> read_added_token(const Fields& fields, std::int64_t id) {
  AddedToken token;
  OLLM_TRY(token.content, fields.string("content"));
  if (id < 0 || id > kMaxTokenId) {
    return fail(ErrorKind::corrupt, fmt::format("{}: '{}' has id {}; ids are 0 to {}",
                                                fields.where(), token.content, id, kMaxTokenId));
  }
  token.id = static_cast<TokenId>(id);
  OLLM_TRY(token.special, fields.boolean("special", false));
  OLLM_TRY(token.normalized, fields.boolean("normalized", !token.special));
  OLLM_TRY(token.single_word, fields.boolean("single_word", false));
  OLLM_TRY(token.lstrip, fields.boolean("lstrip", false));
  OLLM_TRY(token.rstrip, fields.boolean("rstrip", false));
  return token;
}

Result<std::vector<AddedToken>> read_added_tokens(const Json& block) {
  std::vector<AddedToken> out;
  if (block.is_null()) return out;
  if (!block.is_array()) return fail(ErrorKind::corrupt, "added_tokens: expected a list");
  for (const Json& entry : block) {
    const Fields fields(entry, "added_tokens");
    OLLM_TRY(const std::int64_t id, fields.integer("id"));
    OLLM_TRY(AddedToken token, read_added_token(fields, id));
    out.push_back(std::move(token));
  }
  return out;
}

}  // namespace ollm::text
