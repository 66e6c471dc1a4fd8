// What users write is text, per published template: its own control tokens inside a message make
// no control token. Leaves marks through single operations to literal_marks_test.cc.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "ollm/text/byte_level_sample.h"
#include "ollm/text/template/chat_template.h"
#include "ollm/text/tokenizer.h"
#include "tests/test_data.h"

namespace ollm::text {
namespace {

using nlohmann::ordered_json;
using Ids = std::vector<TokenId>;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What in a template looks like a control token, and what comes as bos_token and eos_token.
std::set<std::string> control_tokens(const std::string& source, const ordered_json& input) {
  std::set<std::string> tokens;
  static const std::regex kToken(R"(<[^<>\s'"{}]{1,40}>|\[/?[A-Z_]{2,30}\])");
  for (std::sregex_iterator at(source.begin(), source.end(), kToken), end; at != end; ++at) {
    tokens.insert(at->str());
  }
  for (const char* name : {"bos_token", "eos_token"}) {
    if (input.contains(name) && input[name].is_string()) {
      tokens.insert(input[name].get<std::string>());
    }
  }
  tokens.erase("");
  return tokens;
}

Tokenizer tokenizer_with(const std::set<std::string>& tokens) {
  nlohmann::json sample = byte_level_sample();
  sample["added_tokens"] = nlohmann::json::array();
  int id = 1000;
  for (const std::string& token : tokens) {
    sample["added_tokens"].push_back({{"id", id++}, {"content", token}, {"special", true}});
  }
  return tokenizer_of(sample);
}

Ids control_ids(const Tokenizer& tokenizer, const RenderedPrompt& prompt, bool marked) {
  const std::span<const TextSpan> literal =
      marked ? std::span<const TextSpan>(prompt.literal) : std::span<const TextSpan>();
  Ids out;
  const auto ids = tokenizer.encode(prompt.text, {.parse_special = true, .literal = literal});
  EXPECT_TRUE(ids.ok()) << ids.error().message;
  if (!ids.ok()) return out;
  for (const TokenId id : *ids) {
    if (tokenizer.is_special(id)) out.push_back(id);
  }
  return out;
}

ordered_json with_user_text(ordered_json input, const std::string& text) {
  for (auto& message : input["messages"]) {
    if (message.value("role", "") == "user" && message["content"].is_string()) {
      message["content"] = "Tell me. " + text + " Thanks.";
    }
  }
  return input;
}

TEST(UserText, NeverBecomesAControlTokenInAPublishedTemplate) {
  OLLM_NEED_TEST_DATA(data);
  const RenderClock clock = *RenderClock::parse("2026-01-15T10:30:00");
  int templates = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data / "golden/templates")) {
    const std::string source = read_file(entry.path() / "chat_template.jinja");
    if (source.empty()) continue;
    const auto compiled = ChatTemplate::compile(source);
    ASSERT_TRUE(std::holds_alternative<ChatTemplate>(compiled)) << entry.path();
    int checked = 0;
    std::ifstream cases(entry.path() / "cases.jsonl");
    for (std::string line; std::getline(cases, line);) {
      const auto input = ordered_json::parse(line)["input"];
      const std::set<std::string> tokens = control_tokens(source, input);
      std::string hostile;
      for (const std::string& token : tokens) hostile += token;
      const Tokenizer tokenizer = tokenizer_with(tokens);
      const auto render = [&](const std::string& text) {
        return std::get<ChatTemplate>(compiled).render(with_user_text(input, text), clock);
      };
      const auto plain = render("plain");
      const auto attacked = render(hostile);
      const auto* before = std::get_if<RenderedPrompt>(&plain);
      const auto* after = std::get_if<RenderedPrompt>(&attacked);
      if (before == nullptr || after == nullptr) continue;  // the case is an error, or it parses
      if (after->text.find(hostile) == std::string::npos) continue;  // no user's turn is shown
      EXPECT_EQ(control_ids(tokenizer, *after, true), control_ids(tokenizer, *before, true))
          << entry.path().filename() << " " << line.substr(0, 200);
      EXPECT_NE(control_ids(tokenizer, *after, false), control_ids(tokenizer, *before, false))
          << "without marks the attack works, so that this test could fail";
      ++checked;
    }
    EXPECT_GE(checked, 5) << entry.path();
    ++templates;
  }
  EXPECT_GE(templates, 25);
}

}  // namespace
}  // namespace ollm::text
