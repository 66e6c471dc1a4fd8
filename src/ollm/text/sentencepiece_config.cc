// Which class of Transformers does what with a SentencePiece model (sentencepiece_config.h).
// Leaves added tokens and flags of tokenizer_config.json to tokenizer_config.cc.
#include "ollm/text/sentencepiece_config.h"

#include <fmt/format.h>

#include <utility>

#include "ollm/text/sentencepiece_model.h"

namespace ollm::text {
namespace {

constexpr std::int64_t kExtraIds = 100;  // T5Tokenizer's own default
constexpr std::int64_t kMaxExtraIds = 10'000;

enum class Kind { plain, begins, ends };  // with bos, with eos

struct Class {
  std::string_view name;
  Kind kind;
};

// Those that leave the ids of the pieces as they are. XLM-R, mBART, Pegasus and others do not.
constexpr Class kClasses[] = {
    {"LlamaTokenizer", Kind::begins},   {"CodeLlamaTokenizer", Kind::begins},
    {"GemmaTokenizer", Kind::begins},   {"T5Tokenizer", Kind::ends},
    {"MT5Tokenizer", Kind::ends},       {"PreTrainedTokenizer", Kind::plain},
    {"TokenizersBackend", Kind::plain}, {"SentencePieceBackend", Kind::plain},
};

Error with_advice(Error error) {
  if (error.kind == ErrorKind::unsupported) {
    error.message += fmt::format("; {}", kHowToGetTokenizerJson);
  }
  return error;
}

Result<std::optional<Kind>> kind_of(const Fields& config) {
  OLLM_TRY(std::string name, config.string("tokenizer_class", ""));
  if (name.empty()) return std::optional<Kind>();
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  for (const Class& known : kClasses) {
    if (known.name == name) return std::optional(known.kind);
  }
  return fail(ErrorKind::unsupported,
              fmt::format("tokenizer.model: what tokenizer_class '{}' makes of the pieces is not "
                          "built",
                          name.substr(0, 64)));
}

Result<void> add_extra_ids(const Fields& config, std::vector<AddedToken>& out) {
  OLLM_TRY(const std::int64_t count, config.integer("extra_ids", kExtraIds));
  if (count < 0 || count > kMaxExtraIds) {
    return config.wrong("extra_ids", fmt::format("0 to {}", kMaxExtraIds));
  }
  // The last of them comes first behind the pieces.
  for (std::int64_t i = count; i-- > 0;) {
    out.push_back(
        {.content = fmt::format("<extra_id_{}>", i), .normalized = false, .special = true});
  }
  return {};
}

Result<SentencePieceTokenizer> read(std::string_view model, const Fields& config) {
  OLLM_TRY(const std::optional<Kind> named, kind_of(config));
  SentencePieceOptions options;
  if (config.has("add_prefix_space")) {
    OLLM_TRY(options.add_prefix_space, config.boolean("add_prefix_space"));
  }
  OLLM_TRY(options.legacy, config.boolean("legacy", true));
  OLLM_TRY(SentencePieceParts made, read_sentencepiece_model(model, options));
  const Kind kind = named.value_or(made.is_bpe ? Kind::begins : Kind::plain);
  SentencePieceTokenizer out;
  out.parts = std::move(made.parts);
  if (kind == Kind::ends) OLLM_TRY_VOID(add_extra_ids(config, out.parts.added_tokens));
  const Vocabulary& vocabulary = out.parts.model->vocabulary();
  const bool has_bos = vocabulary.find(made.bos_piece).has_value();
  const bool has_eos = vocabulary.find(made.eos_piece).has_value();
  if (has_bos) out.by_default.bos_token = std::move(made.bos_piece);
  if (has_eos) out.by_default.eos_token = std::move(made.eos_piece);
  out.by_default.bos = kind == Kind::begins && (has_bos || config.has("bos_token"));
  out.by_default.eos = kind == Kind::ends;
  return out;
}

}  // namespace

Result<SentencePieceTokenizer> read_sentencepiece_tokenizer(std::string_view model,
                                                            const Fields& config) {
  auto made = read(model, config);
  if (!made.ok()) return with_advice(std::move(made).error());
  return made;
}

}  // namespace ollm::text
