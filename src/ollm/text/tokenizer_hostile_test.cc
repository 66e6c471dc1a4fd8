// Files that are broken or mean harm, and texts that take the longest way (tokenizer.h): all
// bounded. Leaves mutated files by the million to fuzz/tokenizer_fuzz.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <sys/resource.h>

#include <functional>
#include <string>

#include "ollm/base/clock.h"
#include "ollm/text/byte_level_sample.h"
#include "ollm/text/tokenizer.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct BadFile {
  const char* name;
  std::function<std::string()> bytes;
  ErrorKind kind;
  const char* message;  // a part of it
};

std::string changed(const std::function<void(json&)>& change) {
  json sample = byte_level_sample();
  change(sample);
  return sample.dump();
}

// The sample with `from` replaced by `to` in its bytes, for what json values cannot say.
std::string edited(const std::string& from, const std::string& to) {
  std::string bytes = byte_level_sample().dump();
  const std::size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return bytes.replace(at, from.size(), to);
}

const BadFile kBadFiles[] = {
    {"HtmlPage", [] { return std::string("<html><body>Sign in</body></html>"); },
     ErrorKind::corrupt, "not valid JSON"},
    {"LfsPointer",
     [] { return std::string("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"); },
     ErrorKind::corrupt, "not valid JSON"},
    {"List", [] { return std::string("[]"); }, ErrorKind::corrupt, "expected a JSON object"},
    {"Truncated",
     [] {
       const std::string bytes = byte_level_sample().dump();
       return bytes.substr(0, bytes.size() / 2);
     },
     ErrorKind::corrupt, "not valid JSON"},
    {"MoreBehindItsEnd", [] { return byte_level_sample().dump() + "{}"; }, ErrorKind::corrupt,
     "not valid JSON"},
    {"NotUtf8", [] { return edited("\"hello\"", "\"hell\xFF\""); }, ErrorKind::corrupt,
     "not valid JSON"},
    {"LoneSurrogate", [] { return edited("\"hello\"", "\"\\ud800\""); }, ErrorKind::corrupt,
     "not valid JSON"},
    {"TooLarge", [] { return std::string((std::size_t{64} << 20) + 1, ' '); },
     ErrorKind::unsupported, "the limit is 67108864"},
    {"TooDeep", [] { return std::string(1000, '[') + std::string(1000, ']'); },
     ErrorKind::unsupported, "levels"},
    {"TooDeepNormalizer",
     [] {
       return changed([](json& sample) {
         json inner = {{"type", "NFC"}};
         for (int i = 0; i < 60; ++i) inner = {{"type", "Sequence"}, {"normalizers", {inner}}};
         sample["normalizer"] = inner;
       });
     },
     ErrorKind::unsupported, "levels"},
    {"DuplicateTopLevelKey", [] { return edited("\"version\"", "\"model\""); }, ErrorKind::corrupt,
     "'model' stands twice"},
    {"DuplicateModelKey", [] { return edited("\"type\":\"BPE\"", "\"merges\":[]"); },
     ErrorKind::corrupt, "'merges' stands twice"},
    {"DuplicateTokenInVocab", [] { return edited("\"hello\":259", "\"hell\":259"); },
     ErrorKind::corrupt, "'hell' stands twice"},
    {"DuplicateKeyInABlock",
     [] { return edited("\"add_prefix_space\":false", "\"type\":\"ByteLevel\""); },
     ErrorKind::corrupt, "'type' stands twice"},
    {"TwoTokensWithOneId", [] { return edited("\"hello\":259", "\"hello\":258"); },
     ErrorKind::corrupt, "both have id 258"},
    {"NegativeId", [] { return edited("\"hello\":259", "\"hello\":-1"); }, ErrorKind::corrupt,
     "'hello' has id -1"},
    {"HugeId", [] { return edited("\"hello\":259", "\"hello\":16777217"); }, ErrorKind::corrupt,
     "ids are 0 to 16777216"},
    {"IdBeyond64Bits", [] { return edited("\"hello\":259", "\"hello\":99999999999999999999999"); },
     ErrorKind::corrupt, "not valid JSON"},
    {"FractionalId", [] { return edited("\"hello\":259", "\"hello\":2.5"); }, ErrorKind::corrupt,
     "'hello' is no integer"},
    {"MissingModel", [] { return changed([](json& sample) { sample.erase("model"); }); },
     ErrorKind::corrupt, "model is missing"},
    {"MissingVocab", [] { return changed([](json& sample) { sample["model"].erase("vocab"); }); },
     ErrorKind::corrupt, "vocab is missing"},
    {"MissingMerges", [] { return changed([](json& sample) { sample["model"].erase("merges"); }); },
     ErrorKind::corrupt, "merges is missing"},
    {"MergeOfNoToken",
     [] { return changed([](json& sample) { sample["model"]["merges"][0] = "h zz"; }); },
     ErrorKind::corrupt, "'zz' is not in the vocabulary"},
    {"MergeToNoToken",
     [] { return changed([](json& sample) { sample["model"]["merges"][0] = "h h"; }); },
     ErrorKind::corrupt, "'hh' is not in the vocabulary"},
    {"MergeOfOne", [] { return changed([](json& sample) { sample["model"]["merges"][0] = "h"; }); },
     ErrorKind::corrupt, "two tokens"},
    {"MergeOfThree",
     [] { return changed([](json& sample) { sample["model"]["merges"][0] = {"h", "e", "l"}; }); },
     ErrorKind::corrupt, "merges: expected pairs"},
    {"MergeShorterThanThePrefix",
     [] {
       return changed([](json& sample) { sample["model"]["continuing_subword_prefix"] = "####"; });
     },
     ErrorKind::corrupt, "shorter than continuing_subword_prefix"},
    {"Dropout", [] { return changed([](json& sample) { sample["model"]["dropout"] = 0.1; }); },
     ErrorKind::unsupported, "dropout"},
    {"UnknownModel",
     [] { return changed([](json& sample) { sample["model"]["type"] = "Neural"; }); },
     ErrorKind::unsupported, "model: type 'Neural' is not built"},
    {"UnknownNormalizer",
     [] { return changed([](json& sample) { sample["normalizer"] = {{"type", "Rot13"}}; }); },
     ErrorKind::unsupported, "normalizer: type 'Rot13' is not built"},
    {"UnknownPreTokenizer",
     [] { return changed([](json& sample) { sample["pre_tokenizer"]["type"] = "Fast"; }); },
     ErrorKind::unsupported, "pre_tokenizer: type 'Fast' is not built"},
    {"UnknownPostProcessor",
     [] { return changed([](json& sample) { sample["post_processor"] = {{"type", "Pad"}}; }); },
     ErrorKind::unsupported, "post_processor: type 'Pad' is not built"},
    {"UnknownDecoder",
     [] { return changed([](json& sample) { sample["decoder"]["type"] = "Rot13"; }); },
     ErrorKind::unsupported, "decoder: type 'Rot13' is not built"},
    {"FieldOfAnotherType",
     [] { return changed([](json& sample) { sample["pre_tokenizer"]["use_regex"] = 3; }); },
     ErrorKind::corrupt, "pre_tokenizer: use_regex: expected true or false, found 3"},
    {"InvalidPattern",
     [] {
       return changed([](json& sample) {
         sample["pre_tokenizer"] = {{"type", "Split"},
                                    {"pattern", {{"Regex", "(a|"}}},
                                    {"behavior", "Isolated"},
                                    {"invert", false}};
       });
     },
     ErrorKind::corrupt, "pattern '(a|'"},
    {"UnknownBehavior",
     [] {
       return changed([](json& sample) {
         sample["pre_tokenizer"] = {{"type", "Punctuation"}, {"behavior", "Doubled"}};
       });
     },
     ErrorKind::corrupt, "behavior: expected one of the five, found \"Doubled\""},
    {"AddedTokenWithTwoIds",
     [] { return changed([](json& sample) { sample["added_tokens"][1]["content"] = "<s>"; }); },
     ErrorKind::corrupt, "added token '<s>' stands twice"},
    {"AddedTokenWithHugeId",
     [] { return changed([](json& sample) { sample["added_tokens"][1]["id"] = 1 << 25; }); },
     ErrorKind::corrupt, "'<|end|>' has id 33554432"},
    {"AddedTokenTooLong",
     [] {
       return changed(
           [](json& sample) { sample["added_tokens"][1]["content"] = std::string(5000, 'x'); });
     },
     ErrorKind::unsupported, "5000 bytes"},
    {"TemplateOfUnknownToken",
     [] {
       return changed([](json& sample) {
         sample["post_processor"] = {{"type", "TemplateProcessing"},
                                     {"single", {{{"SpecialToken", {{"id", "<x>"}}}}}},
                                     {"special_tokens", json::object()}};
       });
     },
     ErrorKind::corrupt, "'<x>' is not among special_tokens"},
    {"CharsmapCut",
     [] {
       return changed([](json& sample) {
         sample["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "ALQCAACE"}};
       });
     },
     ErrorKind::corrupt, "precompiled_charsmap"},
    {"CharsmapNoBase64",
     [] {
       return changed([](json& sample) {
         sample["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "!!!!"}};
       });
     },
     ErrorKind::corrupt, "base64"},
    {"UnigramUnknownIdOutside",
     [] {
       return changed([](json& sample) {
         const json vocab = json::array({json::array({"a", -1.0}), json::array({"b", -2.0})});
         sample["model"] = {{"type", "Unigram"}, {"vocab", vocab}, {"unk_id", 2}};
       });
     },
     ErrorKind::corrupt, "unk_id 2 is outside of 2 tokens"},
};

class HostileFile : public ::testing::TestWithParam<BadFile> {};

TEST_P(HostileFile, IsRefusedNamingWhatIsWrong) {
  const std::string bytes = GetParam().bytes();
  TokenizerFiles files;
  files.tokenizer_json = bytes;
  const double before = process_cpu_seconds();
  auto made = Tokenizer::make(files);
  EXPECT_LE(process_cpu_seconds() - before, 2.0);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(to_string(made.error().kind), to_string(GetParam().kind)) << made.error().message;
  EXPECT_THAT(made.error().message,
              AllOf(HasSubstr("tokenizer.json"), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(Files, HostileFile, ::testing::ValuesIn(kBadFiles),
                         [](const auto& file) { return std::string(file.param.name); });

TEST(HostileFile, IsRefusedWhereverItIsCut) {
  const std::string bytes = byte_level_sample().dump();
  for (std::size_t size = 1; size < bytes.size(); size += 7) {
    TokenizerFiles files;
    const std::string cut = bytes.substr(0, size);
    files.tokenizer_json = cut;
    auto made = Tokenizer::make(files);
    ASSERT_FALSE(made.ok()) << size;
    EXPECT_EQ(made.error().kind, ErrorKind::corrupt);
  }
}

TEST(HostileFile, MergesMayStandTwiceAndTheLastRankCounts) {
  json sample = byte_level_sample();
  sample["model"]["vocab"]["el"] = 900;
  sample["model"]["merges"] = {"h e", "e l", "h e"};
  const Tokenizer tokenizer = tokenizer_of(sample);
  EXPECT_THAT(*tokenizer.encode("hel", {}), ::testing::ElementsAre('h', 900));
}

TEST(HostileFile, APatternThatBacktracksWithoutEndIsStopped) {
  json sample = byte_level_sample();
  sample["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"Regex", "(a+)+$x|((a|aa)+)+b"}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
  const Tokenizer tokenizer = tokenizer_of(sample);
  const double before = process_cpu_seconds();
  auto ids = tokenizer.encode(std::string(5000, 'a'), {});
  EXPECT_LE(process_cpu_seconds() - before, 5.0);
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ids.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(ids.error().message, HasSubstr("limit"));
}

TEST(HostileFile, ReplacementsCannotGrowWithoutEnd) {
  json sample = byte_level_sample();
  json steps = json::array();
  for (int i = 0; i < 12; ++i) {
    steps.push_back(
        {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}});
  }
  sample["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  const Tokenizer tokenizer = tokenizer_of(sample);
  auto ids = tokenizer.encode("aaaa", {});
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ids.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(ids.error().message, HasSubstr("Replace"));
}

TEST(HostileFile, ATokenOfWhiteSpaceThatStripsTakesLinearTime) {
  json sample = byte_level_sample();
  for (const char* flag : {"lstrip", "rstrip"}) sample["added_tokens"][2][flag] = true;
  sample["added_tokens"][2]["content"] = " ";
  const Tokenizer tokenizer = tokenizer_of(sample);
  const double before = process_cpu_seconds();
  EXPECT_TRUE(tokenizer.encode(std::string(1 << 20, ' '), {}).ok());
  EXPECT_LE(process_cpu_seconds() - before, 2.0);
}

struct LongText {
  const char* name;
  const char* unit;
};

class HostileText : public ::testing::TestWithParam<LongText> {};

TEST_P(HostileText, OneMebibyteOfOneThingIsEncodedInAboutASecondAndDecodesToItself) {
  std::string text;
  while (text.size() < (1 << 20)) text += GetParam().unit;
  for (const bool pre_tokenizer : {true, false}) {
    json sample = byte_level_sample();
    if (!pre_tokenizer) {  // the whole text is one word
      sample["pre_tokenizer"]["use_regex"] = false;
      sample["normalizer"] = {{"type", "NFC"}};
    }
    const Tokenizer tokenizer = tokenizer_of(sample);
    const double before = process_cpu_seconds();
    auto ids = tokenizer.encode(text, {});
    EXPECT_LE(process_cpu_seconds() - before, 4.0) << "one second, and slack for sanitizers";
    ASSERT_TRUE(ids.ok()) << ids.error().message;
    if (pre_tokenizer) {
      EXPECT_EQ(*tokenizer.decode(*ids, false), text);
    }
  }
}

constexpr LongText kLongTexts[] = {{"Letter", "a"},
                                   {"Space", " "},
                                   {"Newline", "\n"},
                                   {"Dot", "."},
                                   {"Ideograph", "漢"},
                                   {"MarksInWrongOrder", "\u0301\u0323"},
                                   {"EmojiJoined", "👩\u200D"},
                                   {"Replacement", "\uFFFD"},
                                   {"Alternating", "hello "},
                                   {"Merging", "hello"},
                                   {"AlmostAControlToken", "<|en"}};
INSTANTIATE_TEST_SUITE_P(Texts, HostileText, ::testing::ValuesIn(kLongTexts),
                         [](const auto& text) { return std::string(text.param.name); });

TEST(HostileText, NulIsACharacterLikeAnyOther) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  const std::string text(1000, '\0');
  auto ids = tokenizer.encode(text, {});
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*tokenizer.decode(*ids, false), text);
}

TEST(HostileText, EveryPairOfBytesIsEncodedOrRefused) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  for (int pair = 0; pair < 65536; ++pair) {
    const std::string text = {static_cast<char>(pair >> 8), static_cast<char>(pair & 0xFF)};
    const bool valid = simdjson::validate_utf8(text.data(), text.size());
    EXPECT_EQ(tokenizer.encode(text, {}).ok(), valid) << pair;
  }
}

TEST(HostileText, OverlongSurrogateAndCutSequencesAreRefused) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_sample());
  for (const char* text : {"\xC0\x80", "\xE0\x80\x80", "\xF0\x80\x80\x80", "\xED\xA0\x80",
                           "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "a\xE6\xBC", "\x80"}) {
    auto ids = tokenizer.encode(text, {});
    ASSERT_FALSE(ids.ok());
    EXPECT_EQ(ids.error().kind, ErrorKind::invalid_argument);
  }
}

}  // namespace
}  // namespace ollm::text
