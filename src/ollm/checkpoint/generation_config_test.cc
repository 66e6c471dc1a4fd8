#include "ollm/checkpoint/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ollm::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

GenerationConfig parse(std::string_view text) {
  return parse_generation_config(text, "generation_config.json");
}

TEST(GenerationConfig, ReadsThatOfLlama3) {
  const auto config = parse(R"({"bos_token_id":128000,"do_sample":true,
      "eos_token_id":[128001,128008,128009],"temperature":0.6,"top_p":0.9,
      "transformers_version":"4.42.3"})");
  EXPECT_THAT(config.unreadable, IsEmpty());
  EXPECT_TRUE(config.check_sampling().ok());
  EXPECT_THAT(config.eos_token_ids, ElementsAre(128001, 128008, 128009));
  EXPECT_EQ(config.bos_token_id, 128000);
  EXPECT_EQ(config.pad_token_id, std::nullopt);
  EXPECT_EQ(config.do_sample, true);
  EXPECT_EQ(config.temperature, 0.6);
  EXPECT_EQ(config.top_p, 0.9);
  EXPECT_EQ(config.top_k, std::nullopt);
}

TEST(GenerationConfig, ReadsEveryField) {
  const auto config = parse(R"({"eos_token_id":2,"bos_token_id":1,"pad_token_id":0,
      "do_sample":false,"temperature":0,"top_k":0,"top_p":1,"min_p":0.05,"typical_p":0.9,
      "repetition_penalty":1.1,"presence_penalty":-0.5,"frequency_penalty":0.5,
      "max_new_tokens":256,"max_length":4096})");
  EXPECT_THAT(config.unreadable, IsEmpty());
  EXPECT_TRUE(config.check_sampling().ok());
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));
  EXPECT_EQ(config.pad_token_id, 0);
  EXPECT_EQ(config.do_sample, false);
  EXPECT_EQ(config.temperature, 0.0);
  EXPECT_EQ(config.top_k, 0);
  EXPECT_EQ(config.top_p, 1.0);
  EXPECT_EQ(config.min_p, 0.05);
  EXPECT_EQ(config.typical_p, 0.9);
  EXPECT_EQ(config.repetition_penalty, 1.1);
  EXPECT_EQ(config.presence_penalty, -0.5);
  EXPECT_EQ(config.frequency_penalty, 0.5);
  EXPECT_EQ(config.max_new_tokens, 256);
  EXPECT_EQ(config.max_length, 4096);
}

TEST(GenerationConfig, NullAbsentAndMinusOneAreNone) {
  for (const char* text : {"{}", R"({"eos_token_id":null,"pad_token_id":null,"top_p":null})",
                           R"({"eos_token_id":-1,"pad_token_id":-1})",
                           R"({"eos_token_id":[],"unknown":{"num_beams":[1]}})"}) {
    const auto config = parse(text);
    EXPECT_THAT(config.unreadable, IsEmpty());
    EXPECT_TRUE(config.check_sampling().ok());
    EXPECT_THAT(config.eos_token_ids, IsEmpty());
    EXPECT_EQ(config.pad_token_id, std::nullopt);
    EXPECT_EQ(config.top_p, std::nullopt);
  }
  EXPECT_THAT(parse(R"({"eos_token_id":[7,7,3,-1]})").eos_token_ids, ElementsAre(7, 3));
}

TEST(GenerationConfig, WrongTypesAndRangesAreToldByName) {
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
    ASSERT_EQ(config.unreadable.size(), 1u) << key << " " << value;
    const Error& error = config.unreadable[0];
    EXPECT_EQ(error.kind, ErrorKind::corrupt);
    EXPECT_THAT(error.message,
                HasSubstr(std::string("generation_config.json: ") + key + ": expected"));
    const bool is_id = std::string_view(key).ends_with("_id");
    EXPECT_EQ(config.unreadable_ids, is_id ? 1u : 0u);
    const auto sampling = config.check_sampling();
    EXPECT_EQ(sampling.ok(), is_id) << key;
    if (!sampling.ok()) {
      EXPECT_EQ(sampling.error().message, error.message);
    }
  }
}

// The instance: top_k of -1 stopped greedy runs, which do not read it.
TEST(GenerationConfig, WhatIsReadableCountsBesideWhatIsNot) {
  const auto config = parse(R"({"top_k":-1,"eos_token_id":[2,"3",4,2147483648],"temperature":NaN,
      "top_p":0.9})");
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 4));
  EXPECT_EQ(config.top_p, 0.9);
  EXPECT_EQ(config.top_k, std::nullopt);
  ASSERT_EQ(config.unreadable.size(), 3u);
  EXPECT_THAT(config.unreadable[0].message, HasSubstr("eos_token_id: expected"));
  EXPECT_THAT(config.unreadable[1].message, HasSubstr("temperature: expected"));
  EXPECT_THAT(config.unreadable[1].message, HasSubstr("found NaN"));
  EXPECT_THAT(config.check_sampling().error().message, HasSubstr("temperature"));
}

TEST(GenerationConfig, AFileThatIsNoJsonIsToldAsAWhole) {
  for (const char* text : {"[]", "{", "", "{\"top_k\":1,\"top_k\":2}", "not json"}) {
    const auto config = parse(text);
    EXPECT_THAT(config.eos_token_ids, IsEmpty());
    ASSERT_EQ(config.unreadable.size(), 1u) << text;
    EXPECT_EQ(config.unreadable_ids, 0u);
    EXPECT_EQ(config.check_sampling().error().kind, ErrorKind::corrupt);
  }
}

}  // namespace
}  // namespace ollm::checkpoint
