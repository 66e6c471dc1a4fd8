// What Tokenizer and StreamingDetokenizer promise (tokenizer.h), on a small byte-level vocabulary.
// Leaves agreement with the Hugging Face library to tokenizer_golden_test.cc.
#include "ollm/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "ollm/text/byte_level_sample.h"
#include "ollm/text/serde_number.h"

namespace ollm::text {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<TokenId>;

Ids encode(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options = {}) {
  auto ids = tokenizer.encode(text, options);
  EXPECT_TRUE(ids.ok()) << ids.error().message;
  return ids.ok() ? *ids : Ids();
}

std::string random_text(std::mt19937& random) {
  constexpr const char* kParts[] = {"hello", "he",  " ",      "\n",   "ß",       "漢",
                                    "😀",    "<s>", "<|end",  "|>",   "e\u0301", "l",
                                    "'s",    "123", "\u3000", "\t\t", "<think>"};
  std::string text;
  const auto parts = random() % 12;
  for (unsigned i = 0; i < parts; ++i) text += kParts[random() % std::size(kParts)];
  return text;
}

TEST(Tokenizer, MergesInTheOrderOfTheirRanks) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  EXPECT_THAT(encode(tokenizer, "hello hell"), ElementsAre(259, ' ', 258));
  EXPECT_EQ(*tokenizer.decode(Ids{259, ' ', 258}, false), "hello hell");
}

TEST(Tokenizer, TheTextOfAControlTokenIsTextUnlessAsked) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  EXPECT_THAT(encode(tokenizer, "<s>"), ElementsAre('<', 's', '>'));
  EXPECT_THAT(encode(tokenizer, "<s>", {.parse_special = true}), ElementsAre(260));
}

TEST(Tokenizer, AddedTokensThatAreNotSpecialAreVocabularyEitherWay) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  EXPECT_THAT(encode(tokenizer, "<think>a"), ElementsAre(262, 'a'));
  EXPECT_THAT(encode(tokenizer, "<think>a", {.parse_special = true}), ElementsAre(262, 'a'));
}

// Models that find their tokens in a text by themselves would find control tokens, too.
TEST(Tokenizer, AModelThatHasAControlTokenInItsVocabularyDoesNotFindItInText) {
  const json added = json::array({{{"id", 0}, {"content", "</s>"}, {"special", true}}});
  const json decoder = {{"type", "Fuse"}};
  const json vocab = {{"</s>", 0}, {"<", 1}, {"/", 2}, {"s", 3}, {">", 4}, {"</", 5}, {"s>", 6}};
  json list = json::array();
  for (const auto& [token, id] : vocab.items()) list.push_back({token, id == 0 ? 0.0 : -1.0});
  std::sort(list.begin(), list.end(),
            [&](const json& a, const json& b) { return vocab[a[0]] < vocab[b[0]]; });
  const json models[] = {
      {{"type", "Unigram"}, {"vocab", list}, {"unk_id", 1}},
      {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"< /", "s >", "</ s>"}}},
      {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"< /", "s >"}}, {"ignore_merges", true}},
      {{"type", "WordPiece"},
       {"vocab", vocab},
       {"unk_token", "<"},
       {"continuing_subword_prefix", ""}},
      {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", "<"}}};
  for (const json& model : models) {
    const Tokenizer tokenizer =
        tokenizer_of({{"added_tokens", added}, {"decoder", decoder}, {"model", model}});
    for (int turn = 0; turn < 2; ++turn) {  // the second from the words remembered
      for (const TokenId id : encode(tokenizer, "</s>")) EXPECT_NE(id, 0) << model;
      EXPECT_THAT(encode(tokenizer, "</s>", {.parse_special = true}), ElementsAre(0)) << model;
    }
    const TextSpan literal[] = {{4, 8}};
    const Ids ids = encode(tokenizer, "</s></s>", {.parse_special = true, .literal = literal});
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 0), 1) << model;
  }
}

TEST(Tokenizer, ControlTokensInsideLiteralSpansAreText) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  const std::string text = "<s>a<s>b<s>";
  const TextSpan literal[] = {{3, 8}};  // a<s>b
  EXPECT_THAT(encode(tokenizer, text, {.parse_special = true, .literal = literal}),
              ElementsAre(260, 'a', '<', 's', '>', 'b', 260));
}

TEST(Tokenizer, AControlTokenThatOnlyTouchesALiteralSpanIsText) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  const TextSpan literal[] = {{2, 3}};  // the ">" comes from the user
  EXPECT_THAT(encode(tokenizer, "<s>", {.parse_special = true, .literal = literal}),
              ElementsAre('<', 's', '>'));
}

TEST(Tokenizer, LiteralSpansHoldForControlTokensThatAreNormalized) {
  json sample = byte_level_sample();
  sample["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Replace"}, {"pattern", {{"String", "é"}}}, {"content", "ee"}},
        {{"type", "Lowercase"}}}}};
  sample["added_tokens"][0]["normalized"] = true;
  const Tokenizer tokenizer = tokenizer_of(sample);
  const std::string text = "é<S>é<s>é<S>";
  const TextSpan literal[] = {{5, 10}};  // é<s>
  EXPECT_THAT(encode(tokenizer, text, {.parse_special = true, .literal = literal}),
              ElementsAre('e', 'e', 260, 'e', 'e', '<', 's', '>', 'e', 'e', 260));
}

TEST(Tokenizer, LiteralSpansWithoutControlTokensChangeNothing) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string text = random_text(random);
    for (std::size_t at; (at = text.find('<')) != std::string::npos;) text.erase(at, 1);
    const TextSpan literal[] = {{text.size() / 3, text.size()}};
    EXPECT_EQ(encode(tokenizer, text, {.parse_special = true, .literal = literal}),
              encode(tokenizer, text, {.parse_special = true}))
        << text;
  }
}

TEST(Tokenizer, LiteralSpansMustBeAscendingAndInside) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  for (const std::vector<TextSpan>& spans :
       {std::vector<TextSpan>{{0, 5}}, {{2, 1}}, {{0, 2}, {1, 3}}}) {
    auto ids = tokenizer.encode("abcd", {.parse_special = true, .literal = spans});
    ASSERT_FALSE(ids.ok());
    EXPECT_EQ(ids.error().kind, ErrorKind::invalid_argument);
  }
}

TEST(Tokenizer, AddsWhatThePostProcessorSaysUnlessToldNotTo) {
  json sample = byte_level_sample();
  sample["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
        {{"SpecialToken", {{"id", "<|end|>"}, {"type_id", 0}}}}}},
      {"pair", json::array()},
      {"special_tokens", {{"<s>", {{"ids", {260}}}}, {"<|end|>", {{"ids", {261}}}}}}};
  const Tokenizer tokenizer = tokenizer_of(sample);
  EXPECT_THAT(encode(tokenizer, "he"), ElementsAre(260, 256, 261));
  EXPECT_THAT(encode(tokenizer, "he", {.add_special = false}), ElementsAre(256));
  EXPECT_THAT(encode(tokenizer, ""), ElementsAre(260, 261));
}

TEST(Tokenizer, ConcatenationAtAControlTokenIsConcatenationOfIds) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  const EncodeOptions options{.parse_special = true};
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    const std::string a = random_text(random);
    const std::string b = random_text(random);
    Ids expected = encode(tokenizer, a, options);
    expected.push_back(261);
    const Ids behind = encode(tokenizer, b, options);
    expected.insert(expected.end(), behind.begin(), behind.end());
    EXPECT_EQ(encode(tokenizer, a + "<|end|>" + b, options), expected) << a << " + " << b;
  }
}

TEST(Tokenizer, ByteLevelDecodesToWhatWasEncoded) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_text(random);
    EXPECT_EQ(*tokenizer.decode(encode(tokenizer, text), false), text);
  }
}

TEST(Tokenizer, DecodeCanLeaveControlTokensOut) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  EXPECT_EQ(*tokenizer.decode(Ids{260, 'a', 262, 261}, true), "a<think>");
  EXPECT_EQ(*tokenizer.decode(Ids{260, 'a', 262, 261}, false), "<s>a<think><|end|>");
}

TEST(Tokenizer, TheBytesOfTokensTogetherAreTheText) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  std::mt19937 random(21);
  for (int round = 0; round < 200; ++round) {
    const std::string text = random_text(random);
    std::string bytes;
    for (const TokenId id : encode(tokenizer, text)) bytes += *tokenizer.token_bytes(id);
    ASSERT_EQ(bytes, text);
  }
  EXPECT_EQ(*tokenizer.token_bytes(260), "<s>");
  EXPECT_FALSE(tokenizer.token_bytes(-1).ok());
  EXPECT_FALSE(tokenizer.token_bytes(1 << 20).ok());
}

// The space in front of a text is dropped by its beginning, not by the token.
TEST(Tokenizer, TheBytesOfATokenAreThoseInTheMiddleOfAText) {
  const json decoder = {{"type", "Sequence"},
                        {"decoders",
                         {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                          {{"type", "ByteFallback"}},
                          {{"type", "Fuse"}},
                          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  const json vocab = {{"▁he", 0}, {"llo", 1}, {"<0xC3>", 2}, {"<0x9F>", 3}};
  const Tokenizer tokenizer =
      tokenizer_of({{"decoder", decoder},
                    {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}});
  EXPECT_EQ(*tokenizer.token_bytes(0), " he");
  EXPECT_EQ(*tokenizer.token_bytes(1), "llo");
  EXPECT_EQ(*tokenizer.token_bytes(2), "\xC3");
  EXPECT_EQ(*tokenizer.token_bytes(3), "\x9F");
  EXPECT_EQ(*tokenizer.decode(Ids{0, 1, 2, 3}, false), "helloß");
}

TEST(Tokenizer, AnIdOutsideIsRefusedWithTheLimit) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  for (const TokenId id : {-1, 263, 1 << 30}) {
    auto text = tokenizer.decode(Ids{'a', id}, false);
    ASSERT_FALSE(text.ok());
    EXPECT_EQ(text.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(text.error().message, HasSubstr(std::to_string(id)));
    EXPECT_THAT(text.error().message, HasSubstr("263"));
    StreamingDetokenizer stream(tokenizer, false);
    EXPECT_EQ(stream.push(id).error().kind, ErrorKind::invalid_argument);
  }
}

TEST(Tokenizer, TextThatIsNotUtf8IsRefusedWithTheByte) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  auto ids = tokenizer.encode("ab\xE9 cd", {});
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ids.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(ids.error().message, HasSubstr("0xE9"));
  EXPECT_THAT(ids.error().message, HasSubstr("offset 2"));
}

TEST(Tokenizer, TokensAreFoundByContentAndById) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  EXPECT_EQ(tokenizer.vocabulary_size(), 263u);
  EXPECT_EQ(tokenizer.id_of("hello"), 259);
  EXPECT_EQ(tokenizer.id_of("<s>"), 260);
  EXPECT_EQ(tokenizer.id_of("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer.token_of(' '), "Ġ");
  EXPECT_EQ(tokenizer.token_of(261), "<|end|>");
  EXPECT_EQ(tokenizer.token_of(263), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(260));
  EXPECT_FALSE(tokenizer.is_special(262));
  EXPECT_FALSE(tokenizer.is_special(-1));
  EXPECT_GT(tokenizer.memory_bytes(), 10'000u);
}

TEST(Tokenizer, HolesInTheVocabularyReadAsNothing) {
  json sample = byte_level_sample();
  sample["model"]["vocab"]["far"] = 1000;
  const Tokenizer tokenizer = tokenizer_of(sample);
  EXPECT_EQ(tokenizer.vocabulary_size(), 1001u);
  EXPECT_EQ(*tokenizer.decode(Ids{'a', 900, 'b'}, false), "ab");
}

TEST(Tokenizer, AddsTheFlaggedTokensWhereThePostProcessorDoesNotSay) {
  const std::string bytes = byte_level_sample().dump();
  TokenizerFiles files;
  files.tokenizer_json = bytes;
  files.tokenizer_config_json =
      R"({"add_bos_token": true, "bos_token": {"content": "<s>"}, "add_eos_token": true,
          "eos_token": "<|end|>", "model_max_length": 1000000000000000019884624838656})";
  auto tokenizer = Tokenizer::make(files);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_THAT(encode(*tokenizer, "he"), ElementsAre(260, 256, 261));
}

TEST(Tokenizer, AFlagWithoutItsTokenIsCorrupt) {
  const std::string bytes = byte_level_sample().dump();
  TokenizerFiles files;
  files.tokenizer_json = bytes;
  for (const char* config :
       {R"({"add_bos_token": true})", R"({"add_bos_token": true, "bos_token": null})"}) {
    files.tokenizer_config_json = config;
    auto tokenizer = Tokenizer::make(files);
    ASSERT_FALSE(tokenizer.ok());
    EXPECT_EQ(tokenizer.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(tokenizer.error().message, HasSubstr("add_bos_token"));
  }
}

TEST(Tokenizer, TakesAddedTokensFromTheOtherFiles) {
  const std::string bytes = byte_level_sample().dump();
  TokenizerFiles files;
  files.tokenizer_json = bytes;
  files.added_tokens_json = R"({"<b>": 264, "<a>": 263})";
  files.special_tokens_map_json = R"({"pad_token": "<pad>"})";
  auto tokenizer = Tokenizer::make(files);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->id_of("<a>"), 263);
  EXPECT_EQ(tokenizer->id_of("<b>"), 264);
  EXPECT_EQ(tokenizer->id_of("<pad>"), 265);
  EXPECT_TRUE(tokenizer->is_special(265));
  EXPECT_FALSE(tokenizer->is_special(264));

  files.tokenizer_config_json =
      R"({"added_tokens_decoder": {"263": {"content": "<c>", "special": true}}})";
  tokenizer = Tokenizer::make(files);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->id_of("<c>"), 263);
  EXPECT_EQ(tokenizer->id_of("<a>"), std::nullopt) << "the older files no longer count";
}

// tokenizers 0.23.3: -3.8733804217099363 in the file is -3.873380421709936 once read.
TEST(Tokenizer, ScoresAreReadAsTheLibraryReadsThem) {
  EXPECT_EQ(serde_number(-3.8733804217099363), -3.873380421709936);
  EXPECT_EQ(serde_number(-3.9309719644771324), -3.930971964477133);
  EXPECT_EQ(serde_number(-3.9450885700721203), -3.94508857007212);
  for (const double same : {0.0, -0.0, 1.0, -2.5, 100.0, 1e300, 0.1, -12.25}) {
    EXPECT_EQ(serde_number(same), same);
  }
}

TEST(Tokenizer, AnotherFormOfATokenizerIsRefusedWithAdvice) {
  auto made = Tokenizer::make({.other_form = "tekken.json"});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(made.error().message, AllOf(HasSubstr("tekken.json"), HasSubstr("save_pretrained")));
}

TEST(Tokenizer, WithoutTokenizerJsonItSaysHowToGetOne) {
  auto nothing = Tokenizer::make({});
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(nothing.error().message, HasSubstr("save_pretrained"));
}

TEST(Tokenizer, ManyThreadsEncodeAlike) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  std::mt19937 random(4);
  std::vector<std::string> texts;
  std::vector<Ids> expected;
  for (int i = 0; i < 200; ++i) {
    texts.push_back(random_text(random));
    expected.push_back(encode(tokenizer, texts.back()));
  }
  std::vector<Ids> found[4];
  {
    std::vector<std::jthread> threads;
    for (auto& mine : found) {
      threads.emplace_back([&] {
        for (const std::string& text : texts) mine.push_back(*tokenizer.encode(text, {}));
      });
    }
  }
  for (const auto& mine : found) EXPECT_EQ(mine, expected);
}

TEST(StreamingDetokenizer, NeverShowsHalfACharacter) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  StreamingDetokenizer stream(tokenizer, false);
  EXPECT_EQ(*stream.push('a'), "a");
  EXPECT_EQ(*stream.push(0xE6), "");
  EXPECT_EQ(*stream.push(0xBC), "");
  EXPECT_EQ(*stream.push(0xA2), "漢");
  EXPECT_EQ(*stream.push(0xF0), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(StreamingDetokenizer, BrokenBytesWaitForWhatFollows) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  StreamingDetokenizer stream(tokenizer, false);
  EXPECT_EQ(*stream.push(0xFF), "");
  EXPECT_EQ(*stream.push(0xE6), "");
  EXPECT_EQ(*stream.push('a'), "\uFFFD\uFFFDa");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamingDetokenizer, LeavesControlTokensOutWhenAsked) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  StreamingDetokenizer stream(tokenizer, true);
  EXPECT_EQ(*stream.push(260), "");
  EXPECT_EQ(*stream.push(259), "hello");
  EXPECT_EQ(*stream.push(261), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamingDetokenizer, PiecesTogetherAreTheDecodedText) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  std::mt19937 random(5);
  for (int i = 0; i < 1000; ++i) {
    Ids ids(random() % 30);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 263);
    StreamingDetokenizer stream(tokenizer, false);
    std::string all;
    for (const TokenId id : ids) all += *stream.push(id);
    all += stream.finish();
    EXPECT_EQ(all, *tokenizer.decode(ids, false));
  }
}

json template_of(std::vector<std::string> pieces) {
  json single = json::array();
  for (const std::string& piece : pieces) {
    const char* kind = piece == "A" || piece == "B" ? "Sequence" : "SpecialToken";
    single.push_back({{kind, {{"id", piece}, {"type_id", 0}}}});
  }
  const json token{{"<s>", {{"id", "<s>"}, {"ids", {260}}, {"tokens", {"<s>"}}}}};
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", json::array()},
          {"special_tokens", token}};
}

Ids encoded_by(const json& post_processor) {
  json sample = byte_level_sample();
  sample["post_processor"] = post_processor;
  return encode(tokenizer_of(sample), "hello");
}

// An empty text is found before and behind every character, as in the Hugging Face library.
TEST(Tokenizer, AnEmptyPatternIsFoundEverywhere) {
  json sample = byte_level_sample();
  sample["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "-"}};
  const json replaced = sample;
  sample["normalizer"] = nullptr;
  EXPECT_EQ(encode(tokenizer_of(replaced), "ab"), encode(tokenizer_of(sample), "-a-b-"));
}

// The ids are those of the Hugging Face library.
TEST(Tokenizer, ATemplateMayHaveTheTextMoreThanOnce) {
  EXPECT_THAT(encoded_by(template_of({"A", "A"})), ElementsAre(259, 259));
  EXPECT_THAT(encoded_by(template_of({"<s>", "A", "<s>", "<s>", "A", "<s>"})),
              ElementsAre(260, 259, 260, 260, 259, 260));
  // Without special tokens, too, as the template is not one of them.
  json plain = byte_level_sample();
  plain["post_processor"] = template_of({"<s>", "A", "<s>", "A"});
  const auto bare = tokenizer_of(plain).encode("hello", {.add_special = false});
  ASSERT_TRUE(bare.ok());
  EXPECT_THAT(*bare, ElementsAre(259, 259));
  const json twice = {{"type", "Sequence"},
                      {"processors", {template_of({"A", "<s>", "A"}), template_of({"<s>", "A"})}}};
  EXPECT_THAT(encoded_by(twice), ElementsAre(260, 259, 260, 259));
  json sample = byte_level_sample();
  json doubling = json::array();
  for (int i = 0; i < 30; ++i) doubling.push_back(template_of({"A", "A"}));
  for (const json& refused : {template_of({"A", "B"}), template_of({"<s>"}),
                              json{{"type", "Sequence"}, {"processors", doubling}}}) {
    sample["post_processor"] = refused;
    const std::string bytes = sample.dump();
    const auto made = Tokenizer::make({.tokenizer_json = bytes});
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::unsupported) << made.error().message;
  }
}

// What the Hugging Face library gives for these tokens and an empty suffix.
TEST(Tokenizer, AnEmptySuffixOfABpeDecoderStandsAroundEveryCharacter) {
  json sample = byte_level_sample();
  sample["decoder"] = {{"type", "BPEDecoder"}, {"suffix", ""}};
  const Tokenizer tokenizer = tokenizer_of(sample);
  const Ids ids{256, 0, 257, 256};  // "he", the character of byte 0, "ll", "he"
  const std::string expected = " h e  " + std::string(byte_level::char_of(0)) + "  l l he";
  EXPECT_EQ(*tokenizer.decode(ids, false), expected);
  EXPECT_EQ(*tokenizer.decode(Ids{256}, false), "he");
}

}  // namespace
}  // namespace ollm::text
