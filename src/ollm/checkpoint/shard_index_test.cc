#include "ollm/checkpoint/shard_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ollm::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<ShardIndex> parse(std::string json) {
  return parse_shard_index(std::move(json), "model.safetensors.index.json");
}

std::string map_to(std::string_view file) {
  return "{\"weight_map\":{\"a\":\"" + std::string(file) + "\"}}";
}

TEST(ShardIndex, ReadsThePublishedForm) {
  const auto index = parse(R"({
    "metadata": {"total_size": 1.5e10, "more": {"any": [1, null]}},
    "weight_map": {"norm.weight": "model-00002-of-00002.safetensors",
                   "embed.weight": "model-00001-of-00002.safetensors",
                   "lm_head.weight": "model-00002-of-00002.safetensors"}})");
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_THAT(index->shards,
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  ASSERT_EQ(index->entries.size(), 3u);
  EXPECT_EQ(index->entries[0].tensor, "embed.weight");
  EXPECT_EQ(index->find("embed.weight")->shard, 0u);
  EXPECT_EQ(index->find("norm.weight")->shard, 1u);
  EXPECT_EQ(index->find("lm_head.weight")->shard, 1u);
  EXPECT_EQ(index->find("absent"), nullptr);
}

// reliability D5, the part of the index alone.
TEST(ShardIndex, FileNamesMayNotLeaveTheFolder) {
  std::string many_folders;
  for (int i = 0; i < 600; ++i) many_folders += "a/";
  const std::pair<std::string, const char*> cases[] = {
      {"../x.safetensors", "leads out of the folder"},
      {"..", "leads out of the folder"},
      {"a/../../x.safetensors", "'a/../../x.safetensors' leads out of the folder"},
      {"./../x.safetensors", "leads out of the folder"},
      {"a/..", "is empty"},
      {"/etc/x.safetensors", "is an absolute path"},
      {"//x.safetensors", "is an absolute path"},
      {"sub/.hidden/x.safetensors", "begins with a dot"},
      {"sub\\\\x.safetensors", "has a backslash"},
      {"", "is empty"},
      {".hidden.safetensors", "begins with a dot"},
      {"x\\u0000.safetensors", "has a NUL"},
      {std::string(250, 'x') + ".safetensors", "longer than 255 bytes"},
      {many_folders + "x.safetensors", "longer than 1024 bytes"},
      {"x.txt", "does not end in .safetensors"},
  };
  for (const auto& [name, says] : cases) {
    const auto index = parse(map_to(name));
    ASSERT_FALSE(index.ok()) << name;
    EXPECT_EQ(index.error().kind, ErrorKind::corrupt) << name;
    EXPECT_THAT(
        index.error().message,
        AllOf(HasSubstr("model.safetensors.index.json: weight_map: tensor 'a'"), HasSubstr(says)));
  }
}

TEST(ShardIndex, APickleIsUnsupported) {
  const auto index = parse(map_to("pytorch_model-00001-of-00002.bin"));
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(index.error().message, HasSubstr("pickle"));
}

// As Python's json reads them; whether a tensor is stored twice is told by the headers.
TEST(ShardIndex, OfAKeyThatStandsTwiceTheLastCounts) {
  auto index =
      parse(R"({"weight_map":{"a":"1.safetensors","b":"3.safetensors","\u0061":"2.safetensors"}})");
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_EQ(index->repeated_key, "a");
  ASSERT_EQ(index->entries.size(), 2u);
  EXPECT_THAT(index->shards, ElementsAre("2.safetensors", "3.safetensors"));
  EXPECT_EQ(index->find("a")->shard, 0u);
  EXPECT_EQ(index->find("b")->shard, 1u);
  index = parse(R"({"weight_map":{"a":"1.safetensors"},"weight_map":{"b":"./2.safetensors"}})");
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_EQ(index->repeated_key, "weight_map");
  EXPECT_THAT(index->shards, ElementsAre("2.safetensors"));
  EXPECT_EQ(index->find("a"), nullptr);
}

TEST(ShardIndex, SpellingsOfOneFileAreOneShard) {
  const auto index = parse(R"({"weight_map":{"a":"a.safetensors","b":"./a.safetensors",
      "c":"x/../a.safetensors","d":"w//b.safetensors","e":"./w/./b.safetensors","f":".//a.safetensors"}})");
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_THAT(index->shards, ElementsAre("a.safetensors", "w/b.safetensors"));
  EXPECT_EQ(index->unusual_name, "./a.safetensors");
  EXPECT_EQ(index->find("c")->shard, 0u);
  EXPECT_EQ(index->find("e")->shard, 1u);
}

TEST(ShardIndex, WhatPythonReadsBesideTheMapIsPassedOver) {
  const auto index = parse(
      "\xef\xbb\xbf{\"metadata\":{\"total_size\":NaN,\"x\":[-Infinity]},"
      "\"weight_map\":{\"a\":\"a.safetensors\"},\"total_size\":Infinity}");
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_EQ(index->unusual_name, std::nullopt);
  EXPECT_EQ(index->repeated_key, std::nullopt);
}

TEST(ShardIndex, BrokenTextsAreCorrupt) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "expected an object, found the end"},
      {"[]", "expected an object, found '['"},
      {"{}", "has no weight_map"},
      {R"({"weight_map":{}})", "names no tensor"},
      {R"({"weight_map":[]})", "expected an object, found '['"},
      {R"({"weight_map":{"a":1}})", "expected a file name for tensor 'a', found '1'"},
      {R"({"weight_map":{"a":null}})", "expected a file name for tensor 'a'"},
      {R"({"weight_map":{"a":"1.safetensors"},"weight_map":{}})", "names no tensor"},
      {R"({"weight_map":{"a":"1.safetensors"}} x)", "expected the end of the text"},
      {R"({"weight_map":{"a":"1.safetensors"})", "found the end of the text"},
      {R"({"metadata":)" + std::string(100'000, '['), "nested too deep"},
      {"{\"weight_map\":{\"\xff\":\"1.safetensors\"}}", "is not UTF-8"},
  };
  for (const auto& [text, says] : cases) {
    const auto index = parse(text);
    ASSERT_FALSE(index.ok()) << text.substr(0, 100);
    EXPECT_EQ(index.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(index.error().message, HasSubstr(says));
  }
}

std::string map_of(int tensors, int shards) {
  std::string json = R"({"weight_map":{)";
  for (int i = 0; i < tensors; ++i) {
    if (i != 0) json += ',';
    json += "\"t" + std::to_string(i) + "\":\"" + std::to_string(i % shards) + ".safetensors\"";
  }
  return json + "}}";
}

TEST(ShardIndex, MoreThan4096ShardsAreUnsupported) {
  EXPECT_TRUE(parse(map_of(5000, 4096)).ok());
  const auto index = parse(map_of(5000, 4097));
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().kind, ErrorKind::unsupported);
}

// reliability D5: 10^6 entries are read, one more is refused.
TEST(SlowShardIndex, MoreThanAMillionTensorsAreUnsupported) {
  const auto index = parse(map_of(1'000'000, 100));
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_EQ(index->entries.size(), 1'000'000u);
  EXPECT_EQ(parse(map_of(1'000'001, 100)).error().kind, ErrorKind::unsupported);
}

}  // namespace
}  // namespace ollm::checkpoint
