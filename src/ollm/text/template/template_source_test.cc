// Where templates are found, which is chosen, and the special tokens they print.
#include "ollm/text/template/template_source.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ollm::text {
namespace {

TEST(TemplateSources, OfTheConfigAreOneTextOrAListWithNames) {
  EXPECT_EQ(*chat_templates_of(R"({"chat_template": "A"})", {}),
            (ChatTemplateSources{{"default", "A"}}));
  EXPECT_EQ(*chat_templates_of(R"({"chat_template": [{"name": "default", "template": "A"},
                                                    {"name": "rag", "template": "B"}]})",
                               {}),
            (ChatTemplateSources{{"default", "A"}, {"rag", "B"}}));
  EXPECT_TRUE(chat_templates_of("{}", {})->empty());
  EXPECT_TRUE(chat_templates_of("", {})->empty());
  EXPECT_TRUE(chat_templates_of(R"({"chat_template": null})", {})->empty());
}

TEST(TemplateSources, FilesOfTheirOwnWinOverTheConfig) {
  EXPECT_EQ(*chat_templates_of(R"({"chat_template": "A"})", "F"),
            (ChatTemplateSources{{"default", "F"}}));
  EXPECT_EQ(*chat_templates_of(R"({"chat_template": "A"})", "F", {{"tool_use", "T"}}),
            (ChatTemplateSources{{"default", "F"}, {"tool_use", "T"}}));
  EXPECT_EQ(*chat_templates_of(R"({"chat_template": "A"})", {}, {{"tool_use", "T"}}),
            (ChatTemplateSources{{"tool_use", "T"}}));
}

TEST(TemplateSources, InAnotherFormAreCorrupt) {
  for (const char* config :
       {"[]", "{", "7", R"({"chat_template": 7})", R"({"chat_template": {"name": "x"}})",
        R"({"chat_template": [7]})", R"({"chat_template": [{"name": "x"}]})",
        R"({"chat_template": [{"name": 1, "template": "x"}]})",
        R"({"chat_template": [{"name": "x", "template": "1"}, {"name": "x", "template": "2"}]})"}) {
    const auto sources = chat_templates_of(config, {});
    ASSERT_FALSE(sources.ok()) << config;
    EXPECT_EQ(sources.error().kind, ErrorKind::corrupt) << config;
    EXPECT_NE(sources.error().message.find("tokenizer_config.json"), std::string::npos);
  }
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_NE(chat_templates_of(R"({"x": )" + deep + "}", {}).error().message.find("deep"),
            std::string::npos);
}

TEST(TemplateChoice, IsByNameThenByToolsThenTheDefault) {
  const ChatTemplateSources sources{{"default", "D"}, {"rag", "R"}, {"tool_use", "T"}};
  EXPECT_EQ(*choose_chat_template(sources, "rag", true), "R");
  EXPECT_EQ(*choose_chat_template(sources, {}, true), "T");
  EXPECT_EQ(*choose_chat_template(sources, {}, false), "D");
  EXPECT_EQ(*choose_chat_template({{"x", "X"}}, {}, true), "X");
}

TEST(TemplateChoice, SaysWhatThereIsWhereNothingFits) {
  const auto message = [](const ChatTemplateSources& sources,
                          std::optional<std::string_view> name) {
    const auto chosen = choose_chat_template(sources, name, false);
    EXPECT_FALSE(chosen.ok());
    EXPECT_EQ(chosen.error().kind, ErrorKind::not_found);
    return chosen.error().message;
  };
  EXPECT_NE(message({}, {}).find("no chat template"), std::string::npos);
  EXPECT_NE(message({{"a", "A"}, {"b", "B"}}, "c").find("'a', 'b'"), std::string::npos);
  EXPECT_NE(message({{"a", "A"}, {"b", "B"}}, {}).find("'a', 'b'"), std::string::npos);
}

TEST(SpecialTokens, AreTextsOrObjectsWithContent) {
  const auto variables = special_token_variables(
      R"({"eos_token": {"content": "</s>", "lstrip": false}, "bos_token": "<s>",
          "pad_token": null, "model_max_length": 5, "add_bos_token": true})");
  ASSERT_TRUE(variables.ok());
  EXPECT_EQ(variables->dump(), R"({"bos_token":"<s>","eos_token":"</s>"})");
  EXPECT_EQ(special_token_variables("")->dump(), "{}");
  EXPECT_EQ(special_token_variables(R"({"bos_token": 1})").error().kind, ErrorKind::corrupt);
  EXPECT_EQ(special_token_variables("nonsense").error().kind, ErrorKind::corrupt);
}

}  // namespace
}  // namespace ollm::text
