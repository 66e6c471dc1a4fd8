// Where templates are found, which is chosen, and the special tokens they print.
#include "ollm/text/template/template_source.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ollm::text {
namespace {

TEST(TemplateSources, OfTheConfigAreOneTextOrAListWithNames) {
  EXPECT_EQ(*chat_templates_of({.tokenizer_config_json = R"({"chat_template": "A"})"}),
            (ChatTemplateSources{{"default", "A"}}));
  EXPECT_EQ(*chat_templates_of({.tokenizer_config_json =
                                    R"({"chat_template": [{"name": "default", "template": "A"},
                                                    {"name": "rag", "template": "B"}]})"}),
            (ChatTemplateSources{{"default", "A"}, {"rag", "B"}}));
  EXPECT_TRUE(chat_templates_of({.tokenizer_config_json = "{}"})->empty());
  EXPECT_TRUE(chat_templates_of({})->empty());
  EXPECT_TRUE(chat_templates_of({.tokenizer_config_json = R"({"chat_template": null})"})->empty());
}

TEST(TemplateSources, OfTheConfigAreAnObjectOfNames) {
  EXPECT_EQ(*chat_templates_of(
                {.tokenizer_config_json = R"({"chat_template": {"default": "A", "rag": "B"}})"}),
            (ChatTemplateSources{{"default", "A"}, {"rag", "B"}}));
}

// The cases are the ways of Transformers 5.23's from_pretrained.
TEST(TemplateSources, FilesOfTheirOwnWinOverTheConfig) {
  const std::string_view config = R"({"chat_template": "A"})";
  EXPECT_EQ(*chat_templates_of({.chat_template_jinja = "F", .tokenizer_config_json = config}),
            (ChatTemplateSources{{"default", "F"}}));
  EXPECT_EQ(*chat_templates_of({.chat_template_jinja = "F",
                                .additional = {{"tool_use", "T"}},
                                .tokenizer_config_json = config}),
            (ChatTemplateSources{{"default", "F"}, {"tool_use", "T"}}));
  EXPECT_EQ(
      *chat_templates_of({.additional = {{"tool_use", "T"}}, .tokenizer_config_json = config}),
      (ChatTemplateSources{{"tool_use", "T"}}));
  EXPECT_EQ(*chat_templates_of({.chat_template_jinja = "F", .additional = {{"default", "D"}}}),
            (ChatTemplateSources{{"default", "D"}}));
  EXPECT_EQ(*chat_templates_of({.chat_template_jinja = "", .tokenizer_config_json = config}),
            (ChatTemplateSources{{"default", ""}}));
}

TEST(TemplateSources, OfTheProcessorCountWhereTheTokenizerHasNone) {
  const std::string_view old = R"({"chat_template": "O"})";
  const std::string_view processor = R"({"chat_template": "P"})";
  EXPECT_EQ(*chat_templates_of({.chat_template_json = old}),
            (ChatTemplateSources{{"default", "O"}}));
  EXPECT_EQ(*chat_templates_of({.processor_config_json = processor, .chat_template_json = old}),
            (ChatTemplateSources{{"default", "P"}}));
  EXPECT_EQ(*chat_templates_of({.tokenizer_config_json = R"({"chat_template": "A"})",
                                .processor_config_json = processor,
                                .chat_template_json = "broken"}),
            (ChatTemplateSources{{"default", "A"}}));
  EXPECT_EQ(*chat_templates_of({.processor_config_json = R"({"processor_class": "X"})",
                                .chat_template_json = old}),
            (ChatTemplateSources{{"default", "O"}}));
  const auto broken = chat_templates_of({.chat_template_json = "broken"});
  EXPECT_EQ(broken.error().kind, ErrorKind::corrupt);
  EXPECT_NE(broken.error().message.find("chat_template.json"), std::string::npos);
}

TEST(TemplateSources, AMarkAtTheStartIsSkippedAndPythonsNumbersAreRead) {
  EXPECT_EQ(*chat_templates_of({.tokenizer_config_json =
                                    "\xef\xbb\xbf{\"model_max_length\": Infinity, \"a\": [NaN, "
                                    "-Infinity], \"chat_template\": \"NaN \\\" Infinity\"}"}),
            (ChatTemplateSources{{"default", "NaN \" Infinity"}}));
  const auto token = special_token_variables(R"({"bos_token": NaN})");
  ASSERT_FALSE(token.ok());
  EXPECT_NE(token.error().message.find("bos_token"), std::string::npos);
  EXPECT_FALSE(chat_templates_of({.tokenizer_config_json = R"({"a": Nan})"}).ok());
}

TEST(TemplateSources, InAnotherFormAreCorrupt) {
  for (const char* config :
       {"[]", "{", "7", R"({"chat_template": 7})", R"({"chat_template": {"name": 1}})",
        R"({"chat_template": [7]})", R"({"chat_template": [{"name": "x"}]})",
        R"({"chat_template": [{"name": 1, "template": "x"}]})",
        R"({"chat_template": [{"name": "x", "template": "1"}, {"name": "x", "template": "2"}]})"}) {
    const auto sources = chat_templates_of({.tokenizer_config_json = config});
    ASSERT_FALSE(sources.ok()) << config;
    EXPECT_EQ(sources.error().kind, ErrorKind::corrupt) << config;
    EXPECT_NE(sources.error().message.find("tokenizer_config.json"), std::string::npos);
  }
  const std::string deep = R"({"x": )" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_NE(chat_templates_of({.tokenizer_config_json = deep}).error().message.find("deep"),
            std::string::npos);
}

TEST(TemplateChoice, IsByNameThenByToolsThenTheDefault) {
  const ChatTemplateSources sources{{"default", "D"}, {"rag", "R"}, {"tool_use", "T"}};
  EXPECT_EQ(*choose_chat_template(sources, "rag", true), "R");
  EXPECT_EQ(*choose_chat_template(sources, {}, true), "T");
  EXPECT_EQ(*choose_chat_template(sources, {}, false), "D");
  EXPECT_EQ(*choose_chat_template({{"default", "D"}, {"rag", "R"}}, {}, true), "D");
  EXPECT_EQ(*choose_chat_template({{"x", "X"}}, "x", true), "X");
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
  // As in Transformers: one without a name that says so is not the default.
  EXPECT_NE(message({{"x", "X"}}, {}).find("'x'"), std::string::npos);
  EXPECT_EQ(message({{"\x1b[31m\xff", "X"}}, {}).find('\x1b'), std::string::npos);
}

TEST(SpecialTokens, AreTextsOrObjectsWithContent) {
  const auto variables = special_token_variables(
      R"({"eos_token": {"content": "</s>", "lstrip": false}, "bos_token": "<s>",
          "pad_token": null, "model_max_length": 5, "add_bos_token": true})");
  ASSERT_TRUE(variables.ok());
  EXPECT_EQ(variables->dump(), R"({"bos_token":"<s>","eos_token":"</s>"})");
  EXPECT_EQ(special_token_variables("")->dump(), "{}");
  // The older file goes first, as long as there is no list of added tokens in the config.
  const std::string_view map = R"({"bos_token": {"content": "<m>"}, "eos_token": null})";
  EXPECT_EQ(special_token_variables(R"({"bos_token": "<c>", "eos_token": "</c>"})", map)->dump(),
            R"({"bos_token":"<m>"})");
  EXPECT_EQ(
      special_token_variables(R"({"bos_token": "<c>", "added_tokens_decoder": {}})", map)->dump(),
      R"({"bos_token":"<c>"})");
  EXPECT_EQ(special_token_variables(R"({"bos_token": 1})").error().kind, ErrorKind::corrupt);
  EXPECT_EQ(special_token_variables("nonsense").error().kind, ErrorKind::corrupt);
}

}  // namespace
}  // namespace ollm::text
