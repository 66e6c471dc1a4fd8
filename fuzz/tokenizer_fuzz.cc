// Any bytes as tokenizer.json, any bytes as text, any as tokenizer_config.json: ids that decode,
// the same twice, or an error of a kind that the header names. Lines of "=====" stand between the
// three. Leaves to others: whether the ids are right (tokenizer tests). links: ollm_text
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/text/tokenizer.h"
#include "ollm/text/utf8.h"

namespace {

using ollm::ErrorKind;
using ollm::TokenId;
using ollm::text::EncodeOptions;
using ollm::text::StreamingDetokenizer;
using ollm::text::TextSpan;
using ollm::text::Tokenizer;

bool is_utf8(std::string_view text) {
  return ollm::text::unicode::valid_utf8_prefix(text) == text.size();
}

std::string_view next_part(std::string_view& input) {
  constexpr std::string_view kSeparator = "\n=====\n";
  const std::size_t border = input.find(kSeparator);
  const std::string_view part = input.substr(0, border);
  input = border == std::string_view::npos ? "" : input.substr(border + kSeparator.size());
  return part;
}

// All pieces are whole characters, and an id that decodes streams too.
void check_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  StreamingDetokenizer stream(tokenizer, false);
  for (const TokenId id : ids) {
    const auto piece = stream.push(id);
    if (!piece.ok()) {
      OLLM_CHECK(piece.error().kind == ErrorKind::unsupported);  // a pattern at its limits
      return;
    }
    OLLM_CHECK(is_utf8(*piece));
  }
  OLLM_CHECK(is_utf8(stream.finish()));
}

void check_encoding(const Tokenizer& tokenizer, std::string_view text,
                    const EncodeOptions& options) {
  const auto ids = tokenizer.encode(text, options);
  if (!ids.ok()) {
    OLLM_CHECK(ids.error().kind ==
               (is_utf8(text) ? ErrorKind::unsupported : ErrorKind::invalid_argument));
    return;
  }
  OLLM_CHECK(is_utf8(text));
  const auto again = tokenizer.encode(text, options);
  OLLM_CHECK(again.ok() && *again == *ids);
  std::vector<TokenId> inside;  // a post-processor may name ids that the vocabulary lacks
  for (const TokenId id : *ids) {
    if (static_cast<std::size_t>(id) < tokenizer.vocabulary_size()) inside.push_back(id);
  }
  if (const auto decoded = tokenizer.decode(inside, false); decoded.ok()) {
    OLLM_CHECK(is_utf8(*decoded));
  } else {
    OLLM_CHECK(decoded.error().kind == ErrorKind::unsupported);
  }
  check_stream(tokenizer, inside);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  ollm::text::TokenizerFiles files;
  files.tokenizer_json = next_part(input);
  const std::string_view text = next_part(input);
  files.tokenizer_config_json = next_part(input);

  const auto tokenizer = Tokenizer::make(files);
  if (!tokenizer.ok()) {
    const ErrorKind kind = tokenizer.error().kind;
    OLLM_CHECK(kind == ErrorKind::corrupt || kind == ErrorKind::unsupported ||
               kind == ErrorKind::not_found);
    OLLM_CHECK(!tokenizer.error().message.empty());
    return 0;
  }
  check_encoding(*tokenizer, text, {});
  check_encoding(*tokenizer, text, {.add_special = false, .parse_special = true});
  const TextSpan literal[] = {{text.size() / 4, text.size() / 2}};
  check_encoding(*tokenizer, text, {.parse_special = true, .literal = literal});
  return 0;
}
