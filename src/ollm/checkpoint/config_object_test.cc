#include "ollm/checkpoint/config_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace ollm::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Keeps the document alive beside its reader.
struct Read {
  explicit Read(std::string_view text) : document(*parse_json(text, "config.json")) {}
  const Json document;
  const ConfigObject config = *ConfigObject::make(document, "config.json");
};

TEST(ConfigObject, ReadsTypedFields) {
  const Read read(R"({"hidden_size":64,"rope_theta":10000,"eps":1e-5,"tied":true,"act":"silu",
                      "heads":8.0,"sizes":[1,2],"names":["a"],"one":7,"none":null})");
  const ConfigObject& config = read.config;
  EXPECT_EQ(*config.required<int>("hidden_size", IntegerRange::positive(1 << 20)), 64);
  EXPECT_EQ(*config.required<std::size_t>("heads"), 8u);
  EXPECT_EQ(*config.required<double>("rope_theta"), 10000.0);
  EXPECT_EQ(*config.required<float>("eps", NumberRange::above(0)), 1e-5f);
  EXPECT_EQ(*config.required<bool>("tied"), true);
  EXPECT_EQ(*config.required<std::string>("act"), "silu");
  EXPECT_THAT(*config.list<int>("sizes"), ElementsAre(1, 2));
  EXPECT_THAT(*config.list<std::string>("names"), ElementsAre("a"));
  EXPECT_THAT(*config.list<int>("one"), ElementsAre(7));
  EXPECT_THAT(*config.list<int>("none"), IsEmpty());
  EXPECT_THAT(*config.list<int>("absent"), IsEmpty());
  EXPECT_EQ(*config.optional<int>("none"), std::nullopt);
  EXPECT_EQ(*config.optional<int>("absent"), std::nullopt);
  EXPECT_EQ(*config.optional<int>("one"), 7);
  EXPECT_EQ(*config.value_or<double>("absent", 0.5), 0.5);
  EXPECT_EQ(*config.value_or<bool>("none", true), true);
  EXPECT_EQ(*config.value_or<int>("one", 1), 7);
}

// reliability D6: what a dimension may not be.
TEST(ConfigObject, ADimensionOutOfItsRangeIsCorruptByName) {
  struct Case {
    const char* value;
    const char* found;
  };
  const Case cases[] = {
      {"-1", "found -1"},
      {"0", "found 0"},
      {"1048577", "found 1048577"},
      {"9223372036854775807", "found 9223372036854775807"},
      {"9223372036854775808", "found 9223372036854775808"},  // 2^63
      {"-9223372036854775809", "found -9.223372036854776e+18"},
      {"18446744073709551616", "found 1.8446744073709552e+19"},
      {"1e308", "found 1e+308"},
      {"64.5", "found 64.5"},
      {"\"64\"", "found the text '64'"},
      {"\"NaN\"", "found the text 'NaN'"},
      {"NaN", "found NaN"},
      {"-Infinity", "found -Infinity"},
      {"true", "found true"},
      {"[64]", "found a list of 1"},
      {"{}", "found an object"},
  };
  for (const Case& wrong : cases) {
    const Read read(std::string("{\"hidden_size\":") + wrong.value + "}");
    const auto size = read.config.required<int>("hidden_size", IntegerRange::positive(1 << 20));
    ASSERT_FALSE(size.ok()) << wrong.value;
    EXPECT_EQ(size.error().kind, ErrorKind::corrupt);
    EXPECT_EQ(size.error().message,
              std::string("config.json: hidden_size: expected an integer from 1 to 1048576, ") +
                  wrong.found);
    EXPECT_FALSE(read.config.optional<int>("hidden_size", IntegerRange::positive(1 << 20)).ok());
    EXPECT_FALSE(read.config.value_or<int>("hidden_size", 1, IntegerRange::positive(1 << 20)).ok());
  }
}

TEST(ConfigObject, MessagesArePrintable) {
  const Read read("{\"\\u001b[31m\":\"\\u001b[0m\"}");
  EXPECT_EQ(read.config.required<bool>("\x1b[31m").error().message,
            "config.json: ?[31m: expected true or false, found the text '?[0m'");
  EXPECT_EQ(read.config.error(ErrorKind::corrupt, "a\u202e", "b\x1b").message,
            "config.json: a?: b?");
}

TEST(ConfigObject, TheRangeIsCutToTheType) {
  const Read read(R"({"small":300,"negative":-1,"large":9223372036854775807})");
  EXPECT_FALSE(read.config.required<std::uint8_t>("small").ok());
  EXPECT_FALSE(read.config.required<std::uint64_t>("negative").ok());
  EXPECT_FALSE(read.config.required<int>("large").ok());
  EXPECT_EQ(*read.config.required<std::int64_t>("large"), INT64_MAX);
}

TEST(ConfigObject, ANumberOutOfItsRangeIsCorruptByName) {
  const Read read(R"({"theta":0,"p":1.5,"text":"1.0","list":[1,"x"],"flag":1})");
  EXPECT_EQ(read.config.required<double>("theta", NumberRange::above(0)).error().message,
            "config.json: theta: expected a number above 0, found 0");
  EXPECT_EQ(read.config.required<double>("p", {.min = 0, .max = 1}).error().message,
            "config.json: p: expected a number of at least 0 and at most 1, found 1.5");
  EXPECT_EQ(read.config.required<double>("text").error().message,
            "config.json: text: expected a number, found the text '1.0'");
  EXPECT_EQ(read.config.list<std::int64_t>("list").error().message,
            "config.json: list: expected an integer, found the text 'x'");
  EXPECT_EQ(read.config.required<bool>("flag").error().message,
            "config.json: flag: expected true or false, found 1");
  EXPECT_EQ(read.config.required<std::string>("flag").error().message,
            "config.json: flag: expected a text, found 1");
  EXPECT_TRUE(read.config.required<double>("theta", {.min = 0}).ok());
}

TEST(ConfigObject, ARequiredFieldHasToBeThere) {
  const Read read(R"({"null":null})");
  EXPECT_EQ(read.config.required<int>("hidden_size").error().message,
            "config.json: hidden_size: is required and not there");
  EXPECT_EQ(read.config.required<int>("null").error().message,
            "config.json: null: is required and null");
  EXPECT_EQ(read.config.required_object("rope").error().message,
            "config.json: rope: is required and not there");
}

TEST(ConfigObject, NestedFieldsHaveTheirPath) {
  const Read read(R"({"rope_scaling":{"factor":"two","inner":{"x":1}},"flat":3,"null":null})");
  const auto scaling = read.config.required_object("rope_scaling");
  ASSERT_TRUE(scaling.ok());
  EXPECT_EQ(scaling->required<double>("factor").error().message,
            "config.json: rope_scaling.factor: expected a number, found the text 'two'");
  const auto inner = scaling->required_object("inner");
  ASSERT_TRUE(inner.ok());
  EXPECT_EQ(inner->prefix(), "rope_scaling.inner.");
  EXPECT_EQ(inner->error(ErrorKind::unsupported, "x", "is new").message,
            "config.json: rope_scaling.inner.x: is new");
  EXPECT_EQ(read.config.optional_object("flat").error().message,
            "config.json: flat: expected an object, found 3");
  EXPECT_FALSE((*read.config.optional_object("null")).has_value());
  EXPECT_FALSE((*read.config.optional_object("absent")).has_value());
}

TEST(ConfigObject, FieldsThatNobodyReadAreListed) {
  const Read read(R"({"used":1,"left":2,"ignored":3,"raw":{"inside":1},
                      "opened":{"used":1,"left":2,"deep":{"left":1}},
                      "unopened":{"x":1},"opened.left":4,"failed":"x","null":null})");
  const ConfigObject& config = read.config;
  ASSERT_TRUE(config.required<int>("used").ok());
  ASSERT_FALSE(config.required<int>("failed").ok());
  ASSERT_TRUE(config.optional<int>("null").ok());
  config.ignore("ignored");
  config.ignore(std::vector<std::string_view>{"absent", "opened.left"});
  EXPECT_NE(config.raw("raw"), nullptr);
  EXPECT_EQ(config.raw("absent"), nullptr);
  {
    const auto opened = config.required_object("opened");
    ASSERT_TRUE(opened->required<int>("used").ok());
    ASSERT_TRUE(opened->required_object("deep").ok());
  }  // what a nested reader marked stays
  EXPECT_THAT(config.unused_keys(),
              ElementsAre("left", "opened.left", "opened.deep.left", "unopened"));
  EXPECT_TRUE(config.has("left"));
  EXPECT_TRUE(config.has("null"));
  EXPECT_FALSE(config.has("absent"));
  EXPECT_THAT(config.unused_keys(), testing::SizeIs(4)) << "has() marks nothing";
}

TEST(ConfigObject, ADocumentThatIsNoObjectIsCorrupt) {
  const Json list = Json::array({1});
  const auto config = ConfigObject::make(list, "config.json");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().kind, ErrorKind::corrupt);
  EXPECT_EQ(config.error().message, "config.json: expected an object, found a list of 1");
}

}  // namespace
}  // namespace ollm::checkpoint
