// Rows of a batch: what names them, which are requests, and how they are answered.
#include "ollm/openai/batch_row.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ollm::openai {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::string row_with(std::string_view body, std::string_view url = "/v1/completions") {
  return fmt::format(R"({{"custom_id": "a", "method": "POST", "url": "{}", "body": {}}})", url,
                     body);
}

TEST(BatchRow, IsNamedByItsContentNotByItsForm) {
  const BatchRow row = read_batch_row(row_with(R"({"prompt": "é", "n": 1})"));
  // printf '%s' '{"body":{"n":1,"prompt":"é"},"custom_id":"a","method":"POST",
  //              "url":"/v1/completions"}' | sha256sum, in one line
  EXPECT_EQ(row.id, "batch_1abd2a0c50adf4db");
  EXPECT_EQ(row.custom_id, "a");
  EXPECT_FALSE(row.refused.has_value());
  EXPECT_EQ(row.route, Route::completions);
  // printf '%s' 'a{"n":1,"prompt":"é"}' | sha256sum
  EXPECT_EQ(fmt::format("{:016x}", row.seed), "dac43837c70e2d4f");
  const BatchRow other_form = read_batch_row(
      R"({"url":"/v1/completions","body":{"n":1,"prompt":"\u00e9"},"method":"POST","custom_id":"a"})");
  EXPECT_EQ(other_form.id, row.id);
  EXPECT_EQ(other_form.seed, row.seed);
  EXPECT_NE(read_batch_row(row_with(R"({"prompt": "é", "n": 2})")).id, row.id);
}

TEST(BatchRow, WhatIsNoRequestHasNoName) {
  for (const std::string& row :
       {std::string("{"), std::string("[1]"), std::string("{}"), std::string(R"({"custom_id": 5})"),
        std::string("\xff"), std::string(R"({"custom_id": "a", "custom_id": "b"})"),
        R"({"custom_id": "a", "x": )" + std::string(2000, '[') + std::string(2000, ']') + "}"}) {
    SCOPED_TRACE(row.substr(0, 60));
    const BatchRow read = read_batch_row(row);
    EXPECT_FALSE(read.custom_id.has_value());
    EXPECT_FALSE(read.problem.empty());
    EXPECT_EQ(read.id.size(), 22u);
    const Json line = Json::parse(problem_line(read, 7));
    EXPECT_EQ(line["custom_id"], nullptr);
    EXPECT_EQ(line["response"], nullptr);
    EXPECT_THAT(line["error"]["message"].get<std::string>(), HasSubstr("row 7: "));
  }
}

TEST(BatchRow, ARequestThatIsRefusedKeepsItsName) {
  struct Case {
    std::string row;
    const char* param;
  };
  const Case cases[] = {
      {R"({"custom_id": "a"})", "method"},
      {R"({"custom_id": "a", "method": "GET", "url": "/v1/completions", "body": {}})", "method"},
      {row_with("{}", "/v1/embeddings"), "url"},
      {row_with("5"), "body"},
      {row_with(R"({"prompt": "x", "n": 1, "n": 1})"), "n"},
      {row_with(R"({"prompt": "x", "top_p": 1e999})"), "top_p"},
      {row_with(R"({"x": )" + std::string(64, '[') + std::string(64, ']') + "}"), ""},
      {R"({"custom_id": "a", "method": "POST", "method": "POST"})", ""},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.row.substr(0, 100));
    const BatchRow read = read_batch_row(one.row);
    EXPECT_EQ(read.custom_id, "a");
    ASSERT_TRUE(read.refused.has_value());
    EXPECT_EQ(read.refused->status, 400);
    EXPECT_EQ(read.refused->param.value_or(""), one.param) << read.refused->message;
  }
}

TEST(BatchRow, AnAnswerIsReadBackByItsHead) {
  const BatchRow row = read_batch_row(row_with(R"({"prompt": "x"})"));
  std::string line =
      answer_line(row, 200, R"({"choices":[{"text":"a\nb"}],"system_fingerprint":"fp_1"})");
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Json parsed = Json::parse(line);
  EXPECT_EQ(parsed["response"]["request_id"], "req_" + row.id.substr(6));
  EXPECT_EQ(parsed["error"], nullptr);
  const auto head = read_answer_head(line);
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->id, row.id);
  EXPECT_EQ(head->custom_id, "a");
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->system_fingerprint, "fp_1");
  std::string problem = problem_line(read_batch_row("x"), 1);
  const auto none = read_answer_head(problem);
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->custom_id.has_value());
  EXPECT_FALSE(none->status.has_value());
}

TEST(BatchRow, WhatIsNoAnswerIsNotTaken) {
  for (const char* text :
       {"", "{", "{}", "[]", R"({"id": 5})", R"({"id": "x"} x)", R"({"id": "x", "response": 5})",
        R"({"id": "x", "response": {}})", R"({"id": "x", "response": {"status_code": 99}})",
        R"({"id": "x", "response": {"status_code": "200"}})", "\xff"}) {
    std::string line = text;
    EXPECT_FALSE(read_answer_head(line).has_value()) << text;
  }
}

}  // namespace
}  // namespace ollm::openai
