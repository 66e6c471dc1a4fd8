// Any bytes as tokenizer.model, with a text and a tokenizer_config.json: ids that decode, the same
// twice, or an error of a kind that the header names. Lines of "=====" stand between the three, the
// last two counting, as a model may hold anything. Leaves to others: whether the ids are right
// (sentencepiece_test.cc). links: ollm_text
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/text/tokenizer.h"
#include "ollm/text/utf8.h"

namespace {

using ollm::ErrorKind;
using ollm::text::EncodeOptions;
using ollm::text::StreamingDetokenizer;
using ollm::text::Tokenizer;

bool is_utf8(std::string_view text) {
  return ollm::text::unicode::valid_utf8_prefix(text) == text.size();
}

std::string_view last_part(std::string_view& input) {
  constexpr std::string_view kSeparator = "\n=====\n";
  const std::size_t border = input.rfind(kSeparator);
  if (border == std::string_view::npos) return "";
  const std::string_view part = input.substr(border + kSeparator.size());
  input = input.substr(0, border);
  return part;
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
  const auto decoded = tokenizer.decode(*ids, false);
  OLLM_CHECK(decoded.ok() && is_utf8(*decoded));
  StreamingDetokenizer stream(tokenizer, false);
  for (const auto id : *ids) {
    const auto piece = stream.push(id);
    OLLM_CHECK(piece.ok() && is_utf8(*piece));
  }
  OLLM_CHECK(is_utf8(stream.finish()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view config = last_part(input);
  const std::string_view text = last_part(input);
  const auto tokenizer =
      Tokenizer::make({.tokenizer_config_json = config, .sentencepiece_model = input});
  if (!tokenizer.ok()) {
    const ErrorKind kind = tokenizer.error().kind;
    OLLM_CHECK(kind == ErrorKind::corrupt || kind == ErrorKind::unsupported ||
               kind == ErrorKind::not_found);
    OLLM_CHECK(!tokenizer.error().message.empty());
    return 0;
  }
  check_encoding(*tokenizer, text, {});
  check_encoding(*tokenizer, text, {.add_special = false});
  check_encoding(*tokenizer, text, {.parse_special = true});
  return 0;
}
