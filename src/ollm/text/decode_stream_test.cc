// A chain of decoders token by token gives what the same chain gives for the whole list
// (decode_stream.h). Leaves ids, and what may be shown of the text, to StreamingDetokenizer's
// tests.
#include "ollm/text/decode_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "ollm/text/regex.h"

namespace ollm::text {
namespace {

DecoderStep step(DecoderKind kind, std::string content = "", std::size_t start = 0,
                 std::size_t stop = 0) {
  DecoderStep made;
  made.kind = kind;
  made.content = std::move(content);
  made.start = start;
  made.stop = stop;
  return made;
}

DecoderStep replace(std::string pattern, std::string content) {
  DecoderStep made = step(DecoderKind::replace, std::move(content));
  made.pattern = std::make_shared<const Pattern>(Regex::make(pattern).value());
  return made;
}

using Steps = std::vector<DecoderStep>;

std::string whole(const Steps& steps, bool has_decoder, std::vector<std::string> tokens) {
  RegexScratch scratch;
  for (const DecoderStep& one : steps) EXPECT_TRUE(apply(one, tokens, scratch).ok());
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !has_decoder) text += ' ';
    text += tokens[i];
  }
  return text;
}

std::string streamed(const Steps& steps, bool has_decoder, const std::vector<std::string>& tokens) {
  DecodeStream stream(steps, has_decoder);
  std::string text;
  for (const std::string& token : tokens) EXPECT_TRUE(stream.push(token, text).ok());
  EXPECT_TRUE(stream.finish(text).ok());
  return text;
}

TEST(DecodeStream, GivesWhatTheWholeListGives) {
  DecoderStep ctc = step(DecoderKind::ctc, "a");
  ctc.delimiter = "b";
  ctc.cleanup = true;
  DecoderStep wordpiece = step(DecoderKind::wordpiece, "##");
  wordpiece.cleanup = true;
  const Steps chains[] = {
      {step(DecoderKind::byte_level)},
      {step(DecoderKind::byte_fallback), step(DecoderKind::fuse)},
      {step(DecoderKind::byte_fallback), step(DecoderKind::fuse),
       step(DecoderKind::strip, " ", 1, 0)},
      {step(DecoderKind::fuse), step(DecoderKind::strip, " ", 2, 2)},
      {step(DecoderKind::fuse), step(DecoderKind::byte_fallback)},
      {step(DecoderKind::byte_fallback), step(DecoderKind::strip, "a", 1, 1)},
      {step(DecoderKind::fuse), replace("a+", "A")},
      {replace("a+", "A"), step(DecoderKind::strip, "b", 1, 1)},
      {step(DecoderKind::metaspace, "_", 1)},
      {step(DecoderKind::metaspace, "_", 0)},
      {wordpiece},
      {step(DecoderKind::bpe, "a")},
      {ctc},
      {},
  };
  constexpr const char* kTokens[] = {"a",  "b",  " ", "  ", "##a", "_a", "Ġa", "<0xE6>",
                                     "ss", "aa", "Ã", "Â¡", "é",   ".",  "n't"};
  std::mt19937 random(1);
  for (const Steps& chain : chains) {
    const bool has_decoder = !chain.empty();
    for (int i = 0; i < 300; ++i) {
      std::vector<std::string> tokens(random() % 8);
      for (std::string& token : tokens) token = kTokens[random() % std::size(kTokens)];
      EXPECT_EQ(streamed(chain, has_decoder, tokens), whole(chain, has_decoder, tokens));
    }
  }
}

TEST(DecodeStream, ARunOfBytesThatIsNoUtf8ReadsAsOneReplacementForEachByte) {
  const Steps chain = {step(DecoderKind::byte_fallback), step(DecoderKind::fuse)};
  EXPECT_EQ(streamed(chain, true, {"<0xE6>", "<0xBC>", "x"}), "\uFFFD\uFFFDx");
  EXPECT_EQ(whole(chain, true, {"<0xE6>", "<0xBC>", "<0xA2>", "<0xE6>"}),
            "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(streamed(chain, true, {"<0xE6>", "<0xBC>", "<0xA2>", "<0xE6>"}), "漢\uFFFD")
      << "the character was sent already";
}

}  // namespace
}  // namespace ollm::text
