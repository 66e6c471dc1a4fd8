#include "ollm/checkpoint/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ollm::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<GenerationConfig> parse(std::string_view text) {
  return parse_generation_config(text, "generation_config.json");
}

TEST(GenerationConfig, ReadsThatOfLlama3) {
  const auto config = parse(R"({"bos_token_id":128000,"do_sample":true,
      "eos_token_id":[128001,128008,128009],"temperature":0.6,"top_p":0.9,
      "transformers_version":"4.42.3"})");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_THAT(config->eos_token_ids, ElementsAre(128001, 128008, 128009));
  EXPECT_EQ(config->bos_token_id, 128000);
  EXPECT_EQ(config->pad_token_id, std::nullopt);
  EXPECT_EQ(config->do_sample, true);
  EXPECT_EQ(config->temperature, 0.6);
  EXPECT_EQ(config->top_p, 0.9);
  EXPECT_EQ(config->top_k, std::nullopt);
}

TEST(GenerationConfig, ReadsEveryField) {
  const auto config = parse(R"({"eos_token_id":2,"bos_token_id":1,"pad_token_id":0,
      "do_sample":false,"temperature":0,"top_k":0,"top_p":1,"min_p":0.05,"typical_p":0.9,
      "repetition_penalty":1.1,"presence_penalty":-0.5,"frequency_penalty":0.5,
      "max_new_tokens":256,"max_length":4096})");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
  EXPECT_EQ(config->pad_token_id, 0);
  EXPECT_EQ(config->do_sample, false);
  EXPECT_EQ(config->temperature, 0.0);
  EXPECT_EQ(config->top_k, 0);
  EXPECT_EQ(config->top_p, 1.0);
  EXPECT_EQ(config->min_p, 0.05);
  EXPECT_EQ(config->typical_p, 0.9);
  EXPECT_EQ(config->repetition_penalty, 1.1);
  EXPECT_EQ(config->presence_penalty, -0.5);
  EXPECT_EQ(config->frequency_penalty, 0.5);
  EXPECT_EQ(config->max_new_tokens, 256);
  EXPECT_EQ(config->max_length, 4096);
}

TEST(GenerationConfig, NullAbsentAndMinusOneAreNone) {
  for (const char* text : {"{}", R"({"eos_token_id":null,"pad_token_id":null,"top_p":null})",
                           R"({"eos_token_id":-1,"pad_token_id":-1})",
                           R"({"eos_token_id":[],"unknown":{"num_beams":[1]}})"}) {
    const auto config = parse(text);
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_THAT(config->eos_token_ids, IsEmpty());
    EXPECT_EQ(config->pad_token_id, std::nullopt);
    EXPECT_EQ(config->top_p, std::nullopt);
  }
  EXPECT_THAT(parse(R"({"eos_token_id":[7,7,3,-1]})")->eos_token_ids, ElementsAre(7, 3));
}

TEST(GenerationConfig, WrongTypesAndRangesAreCorruptByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"eos_token_id", "\"2\""},
      {"eos_token_id", "[1,\"2\"]"},
      {"eos_token_id", "2147483648"},
      {"bos_token_id", "-2"},
      {"bos_token_id", "1.5"},
      {"do_sample", "1"},
      {"temperature", "-0.1"},
      {"temperature", "\"0.6\""},
      {"top_k", "-5"},
      {"top_p", "0"},
      {"top_p", "1.01"},
      {"min_p", "2"},
      {"typical_p", "0"},
      {"repetition_penalty", "0"},
      {"max_new_tokens", "0"},
      {"max_length", "1e300"},
      {"presence_penalty", "\"none\""},
      {"pad_token_id", "[0]"},
  };
  for (const auto& [key, value] : cases) {
    const auto config = parse(std::string("{\"") + key + "\":" + value + "}");
    ASSERT_FALSE(config.ok()) << key << " " << value;
    EXPECT_EQ(config.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(config.error().message,
                HasSubstr(std::string("generation_config.json: ") + key + ": expected"));
  }
  EXPECT_EQ(parse("[]").error().kind, ErrorKind::corrupt);
  EXPECT_EQ(parse("{").error().kind, ErrorKind::corrupt);
}

}  // namespace
}  // namespace ollm::checkpoint
