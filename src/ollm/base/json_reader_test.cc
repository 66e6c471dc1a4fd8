#include "ollm/base/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/test_data.h"

namespace ollm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ParseJson, KeepsOrderAndNumbers) {
  const auto json = parse_json(
      R"({"z":1,"a":-5,"m":18446744073709551615,"f":1.0,"e":1e5,"t":true,"n":null,"s":"\u00e4","l":[1,[2]]})",
      "config.json");
  ASSERT_TRUE(json.ok()) << json.error().message;
  EXPECT_EQ(json->dump(), R"({"z":1,"a":-5,"m":18446744073709551615,"f":1.0,"e":100000.0,)"
                          R"("t":true,"n":null,"s":"ä","l":[1,[2]]})");
  EXPECT_TRUE((*json)["z"].is_number_integer());
  EXPECT_TRUE((*json)["f"].is_number_float());
}

TEST(ParseJson, AnErrorTellsTheMemberInWhichItLies) {
  const auto member_of = [](const char* text) {
    std::string member = "none";
    EXPECT_FALSE(parse_json(text, "body", {}, &member).ok()) << text;
    return member;
  };
  EXPECT_EQ(member_of(R"({"a":1,"b":{"c":1e999}})"), "b");
  EXPECT_EQ(member_of(R"({"a":1,"a":2})"), "a");
  EXPECT_EQ(member_of(R"({"a":[1,{"x":1,"x":2}]})"), "a");
  EXPECT_EQ(member_of(R"({"a":1} x)"), "");
  EXPECT_EQ(member_of("[1e999]"), "");
  EXPECT_EQ(member_of("\xff"), "");
}

TEST(ParseJson, BrokenDocumentsAreCorrupt) {
  struct Case {
    std::string text;
    const char* says;
  };
  const Case cases[] = {
      {"", "byte 0: expected a value, found the end of the text"},
      {"{", "byte 1: expected a key, found the end of the text"},
      {R"({"a":1,"b":2,"a":3})", "byte 13: duplicate key 'a'"},
      {R"({"x":{"a":1,"\u0061":3}})", "duplicate key 'a'"},
      {R"({"a":nan})", "byte 5: expected a value, found 'n'"},
      {R"({"a":+Infinity})", "found '+'"},
      {R"({"a":-NaN})", "byte 6: expected a digit, found NaN"},
      {R"({"a":Infinityx})", "byte 13: expected ',' or '}'"},
      {R"({"a":nan})", "byte 5: expected a value, found 'n'"},
      {R"({"a":1e999})", "the number '1e999' is out of the range of f64"},
      {R"({"a":01})", "needless 0"},
      {R"({"a":1,})", "byte 7: expected a key, found '}'"},
      {R"([1,])", "byte 3: expected a value, found ']'"},
      {R"({} {})", "byte 3: expected the end of the document"},
      {std::string("{}\0", 3), "byte 2: expected the end of the document"},
      {"// x\n{}", "byte 0: expected a value, found '/'"},
      {"\xef\xbb\xbf[}", "byte 4: expected a value"},
      {"\xef\xbb\xbf\xef\xbb\xbf{}", "byte 3: expected a value"},
      {"{\"a\":\"\xff\"}", "byte 6: is not UTF-8"},
      {R"({"a":"\ud800"})", "lone surrogate"},
      {R"({a:1})", "expected a key, found 'a'"},
  };
  for (const Case& broken : cases) {
    const auto json = parse_json(broken.text, "config.json");
    ASSERT_FALSE(json.ok()) << broken.text;
    EXPECT_EQ(json.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(json.error().message,
                AllOf(StartsWith("config.json: byte "), HasSubstr(broken.says)));
  }
}

// time_step_limit of published Mamba configs.
TEST(ParseJson, NumbersOfPythonAndAByteOrderMarkAreRead) {
  const auto json = parse_json(
      "\xef\xbb\xbf{\"time_step_limit\":[0.0, Infinity],\"a\":-Infinity,\"b\":[NaN]}", "f");
  ASSERT_TRUE(json.ok()) << json.error().message;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ((*json)["time_step_limit"][1].get<double>(), kInfinity);
  EXPECT_EQ((*json)["a"].get<double>(), -kInfinity);
  EXPECT_TRUE(std::isnan((*json)["b"][0].get<double>()));
  EXPECT_EQ(describe((*json)["a"]), "-Infinity");
  EXPECT_EQ(describe((*json)["b"][0]), "NaN");
}

TEST(ParseJson, LimitsAreNamed) {
  struct Case {
    std::string text;
    const char* says;
  };
  std::string keys = "{";
  for (int i = 0; i <= 10'000; ++i) keys += "\"" + std::to_string(i) + "\":0,";
  keys.back() = '}';
  const Case cases[] = {
      {std::string(65, '[') + std::string(65, ']'), "byte 64: nested deeper than 64"},
      {std::string(1'000'000, '['), "nested deeper than 64"},
      {keys, "an object of more than 10000 keys"},
      {std::string((1u << 20) + 1, ' '), "has 1.0 MiB, the limit is 1.0 MiB"},
  };
  for (const Case& large : cases) {
    const auto json = parse_json(large.text, "config.json");
    ASSERT_FALSE(json.ok()) << large.says;
    EXPECT_EQ(json.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(json.error().message, AllOf(StartsWith("config.json: "), HasSubstr(large.says)));
  }
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']'), "config.json").ok());
}

TEST(ParseJson, AgreesWithAnotherParserOnTheConfigsOfOthers) {
  OLLM_NEED_TEST_DATA(data);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
    const std::string name = entry.path().filename();
    if (!name.ends_with("config.json") && !name.ends_with("config.v5.json")) continue;
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const auto json = parse_json(text, name);
    ASSERT_TRUE(json.ok()) << entry.path() << ": " << json.error().message;
    ++files;
    // The other parser has no Infinity (time_step_limit of Mamba).
    if (text.find("Infinity") != std::string::npos) continue;
    EXPECT_EQ(*json, Json::parse(text)) << entry.path();
  }
  EXPECT_GE(files, 96u);
}

TEST(Describe, IsShort) {
  EXPECT_EQ(describe(Json(nullptr)), "null");
  EXPECT_EQ(describe(Json(-1)), "-1");
  EXPECT_EQ(describe(Json(1.5)), "1.5");
  EXPECT_EQ(describe(Json("yarn")), "the text 'yarn'");
  EXPECT_EQ(describe(Json::array({1, 2, 3})), "a list of 3");
  EXPECT_EQ(describe(Json::object()), "an object");
}

}  // namespace
}  // namespace ollm
