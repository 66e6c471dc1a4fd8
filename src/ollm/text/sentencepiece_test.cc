// SentencePiece models: the ids that SentencePiece itself and Transformers give, and the rules of
// the classes. Leaves broken files to sentencepiece_hostile_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/text/tokenizer.h"

namespace ollm::text {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<TokenId>;

const std::filesystem::path kFixtures = "tests/fixtures/sentencepiece";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Result<Tokenizer> make(const std::string& model, const std::string& config) {
  return Tokenizer::make({.tokenizer_config_json = config, .sentencepiece_model = model});
}

Tokenizer load(const std::string& file, const std::string& config) {
  auto made = make(read_file(kFixtures / file), config);
  if (!made.ok()) throw std::runtime_error(made.error().message);  // fails the test
  return std::move(made).value();
}

TEST(SentencePiece, GivesTheIdsOfTheLibraryAndOfTransformers) {
  std::map<std::string, Tokenizer> tokenizers;
  std::map<std::string, int> checked;
  std::ifstream in(kFixtures / "cases.jsonl");
  for (std::string line; std::getline(in, line);) {
    const json row = json::parse(line);
    const auto model = row.at("model").get<std::string>();
    if (!tokenizers.contains(model)) {
      tokenizers.emplace(model, load(row.at("file"), read_file(kFixtures / (model + ".json"))));
    }
    const Tokenizer& tokenizer = tokenizers.at(model);
    const bool by_library = row.at("by") == "sentencepiece";
    const auto text = row.at("text").get<std::string>();
    const auto ids =
        tokenizer.encode(text, {.add_special = !by_library, .parse_special = !by_library});
    ASSERT_TRUE(ids.ok()) << ids.error().message;
    EXPECT_EQ(*ids, row.at("ids").get<Ids>()) << line;
    if (!by_library) {
      EXPECT_EQ(*tokenizer.decode(*ids, false), row.at("decoded").get<std::string>()) << line;
    }
    ++checked[model];
  }
  EXPECT_EQ(checked.size(), 5u);
  for (const auto& [model, count] : checked) EXPECT_GE(count, 100) << model;
}

TEST(SentencePiece, StreamsWhatItDecodes) {
  const Tokenizer tokenizer = load("llama.model", "");
  const std::string text = "  größer 😀 文書 12 x";
  const auto ids = tokenizer.encode(text, {.add_special = false});
  ASSERT_TRUE(ids.ok());
  StreamingDetokenizer stream(tokenizer, false);
  std::string all;
  for (const TokenId id : *ids) all += *stream.push(id);
  EXPECT_EQ(all + stream.finish(), text);
}

TEST(SentencePiece, ABpeModelWithoutAClassBeginsWithBosAsLlamaDoes) {
  EXPECT_EQ(*load("llama.model", "").encode("", {}), Ids{1});
  EXPECT_EQ(*load("llama.model", R"({"add_bos_token": false})").encode("", {}), Ids{});
  EXPECT_THAT(*load("llama.model", R"({"add_eos_token": true})").encode("", {}), ElementsAre(1, 2));
  EXPECT_EQ(
      *load("gemma.model", R"({"tokenizer_class": "PreTrainedTokenizerFast"})").encode("", {}),
      Ids{});
}

TEST(SentencePiece, T5EndsWithEosAndHasItsExtraIdsBehindThePieces) {
  const Tokenizer tokenizer = load("t5.model", R"({"tokenizer_class": "T5TokenizerFast"})");
  EXPECT_EQ(*tokenizer.encode("", {}), Ids{1});
  const TokenId last = *tokenizer.id_of("<extra_id_0>");
  EXPECT_EQ(tokenizer.vocabulary_size(), static_cast<std::size_t>(last) + 1);
  EXPECT_EQ(tokenizer.id_of("<extra_id_99>"), last - 99);
}

TEST(SentencePiece, ControlPiecesInTextOfUsersAreText) {
  for (const auto& [file, pieces] : std::map<std::string, std::vector<std::string>>{
           {"t5.model", {"</s>", "<pad>", "<unk>", "a</s>b"}},
           {"unigram-bytes.model", {"<s>", "</s>", "<0x41>"}},
           {"llama.model", {"<s>", "</s>", "<unk>", "<ctl>"}},
           {"gemma.model", {"<start_of_turn>", "<end_of_turn>", "<bos>"}}}) {
    const Tokenizer tokenizer = load(file, R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
    const auto unknown = tokenizer.id_of("<unk>");
    for (const std::string& piece : pieces) {
      const auto ids = tokenizer.encode(piece, {});
      ASSERT_TRUE(ids.ok());
      EXPECT_GT(ids->size(), 1u) << piece;
      for (const TokenId id : *ids) {
        EXPECT_TRUE(!tokenizer.is_special(id) || id == unknown) << file << " " << piece;
      }
    }
  }
}

TEST(SentencePiece, UserDefinedSymbolsAreFoundWithoutAsking) {
  const Tokenizer tokenizer = load("llama.model", "");
  const TokenId tool = *tokenizer.id_of("<tool>");
  EXPECT_FALSE(tokenizer.is_special(tool));
  EXPECT_THAT(*tokenizer.encode("a<tool>", {.add_special = false}), ::testing::Contains(tool));
}

TEST(SentencePiece, TheFlagsOfTheConfigGoBeforeThoseOfThePiece) {
  const Tokenizer tokenizer = load(
      "llama.model", R"({"added_tokens_decoder": {"4": {"content": "<tool>", "special": true}}})");
  EXPECT_TRUE(tokenizer.is_special(*tokenizer.id_of("<tool>")));
}

TEST(SentencePiece, AddPrefixSpaceOfTheConfigCounts) {
  const Tokenizer with = load("llama.model", "");
  const Tokenizer without = load("llama.model", R"({"add_prefix_space": false})");
  EXPECT_EQ(*without.encode(" the", {}), *with.encode("the", {}));
  EXPECT_EQ(*without.decode(*without.encode(" the", {.add_special = false}), false), " the");
}

TEST(SentencePiece, AClassThatNumbersPiecesAnewIsRefusedWithAdvice) {
  const std::string model = read_file(kFixtures / "unigram-bytes.model");
  for (const char* name : {"XLMRobertaTokenizer", "PegasusTokenizerFast", "MyOwn"}) {
    const auto made = make(model, json{{"tokenizer_class", name}}.dump());
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(made.error().message, HasSubstr("save_pretrained"));
  }
}

TEST(SentencePiece, TokenizerJsonGoesFirst) {
  const std::string model = "not read";
  const std::string bytes =
      R"({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}})";
  const auto made = Tokenizer::make({.tokenizer_json = bytes, .sentencepiece_model = model});
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->vocabulary_size(), 1u);
}

}  // namespace
}  // namespace ollm::text
