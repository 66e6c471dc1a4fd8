#include "ollm/base/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "ollm/base/value_document.h"

namespace ollm {
namespace {

using Json = nlohmann::ordered_json;

Value example() {
  Json json;
  json["z"] = 1;
  json["a"] = {true, 0.5, "x", nullptr};
  json["deep"]["er"] = std::numeric_limits<std::uint64_t>::max();
  return make_value(std::move(json));
}

TEST(Value, KeepsTheOrderInWhichMembersWerePut) {
  const Value value = example();
  EXPECT_EQ(value.json(), R"({"z":1,"a":[true,0.5,"x",null],"deep":{"er":18446744073709551615}})");
  ASSERT_EQ(value.size(), 3u);
  EXPECT_EQ(value.key(0), "z");
  EXPECT_EQ(value.key(2), "deep");
  EXPECT_EQ(value.at(0).integer(), 1);
}

TEST(Value, GivesNothingForAnotherKindOrPlace) {
  const Value value = example();
  EXPECT_EQ(value.integer(), std::nullopt);
  EXPECT_EQ(value.text(), std::nullopt);
  EXPECT_EQ(value.at(3).kind(), Value::Kind::null);
  EXPECT_EQ(value.key(3), "");
  EXPECT_EQ(value.find("y").find("x").at(7).text(), std::nullopt);
  EXPECT_FALSE(value.has("y"));
  EXPECT_TRUE(value.has("z"));
  EXPECT_EQ(value.find("z").size(), 0u);
  EXPECT_EQ(value.find("z").find("a").kind(), Value::Kind::null);
  EXPECT_EQ(value.find("a").at(1).integer(), std::nullopt);
  EXPECT_EQ(value.find("a").at(1).number(), 0.5);
  EXPECT_EQ(value.find("a").at(2).text(), "x");
  EXPECT_EQ(value.find("a").at(0).boolean(), true);
}

TEST(Value, AnIntegerThatDoesNotFitIsANumberOnly) {
  const Value value = example().find("deep").find("er");
  EXPECT_EQ(value.kind(), Value::Kind::integer);
  EXPECT_EQ(value.integer(), std::nullopt);
  EXPECT_EQ(value.number(), 0x1p64);
}

TEST(Value, ANumberThatJsonHasNoFormForIsNull) {
  const double inf = std::numeric_limits<double>::infinity();
  const Value value = make_value({{"a", {1.5, inf, std::nan("")}}, {"b", -inf}});
  EXPECT_EQ(value.json(), R"({"a":[1.5,null,null],"b":null})");
  EXPECT_EQ(value.find("b").kind(), Value::Kind::null);
  EXPECT_EQ(value.find("a").at(2), Value());
}

TEST(Value, OutlivesWhatItWasTakenFromAndIsNeverEmpty) {
  Value part;
  EXPECT_EQ(part.json(), "null");
  {
    Value whole = example();
    part = whole.find("a");
    const Value taken = std::move(whole);
    EXPECT_EQ(whole, taken);  // NOLINT: that it is still whole is what is tested
  }
  EXPECT_EQ(part.json(), R"([true,0.5,"x",null])");
}

TEST(Value, IndentsByWhatIsAskedForAtMostSoMuch) {
  const Value value = make_value({{"a", 1}});
  EXPECT_EQ(value.json(2), "{\n  \"a\": 1\n}");
  EXPECT_EQ(value.json(-5), R"({"a":1})");
  EXPECT_EQ(value.json(std::numeric_limits<int>::max()), value.json(Value::kIndentMax));
}

TEST(Value, IsEqualByContentAndOrder) {
  EXPECT_EQ(example(), example());
  EXPECT_NE(make_value({{"a", 1}, {"b", 2}}), make_value({{"b", 2}, {"a", 1}}));
}

TEST(Value, BytesThatAreNoUtf8AreReplacedInJson) {
  EXPECT_EQ(make_value("\xFF").json(), "\"\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace ollm
