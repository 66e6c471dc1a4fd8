// Which of a folder's text files a conversation goes through.
// Leaves to others: what the files say (text/), and how folders are read (checkpoint/).
#include <gtest/gtest.h>

#include <string>

#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"
#include "tests/test_data.h"

namespace ollm {
namespace {

constexpr const char* kTokenizer =
    R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": []})";
constexpr const char* kHi = R"({"messages": [{"content": "hi"}]})";
constexpr const char* kHiWithTools = R"({"messages": [{"content": "hi"}], "tools": []})";

class FolderText : public ::testing::Test {
 protected:
  FolderText() { folder_.write("tokenizer.json", kTokenizer); }

  std::string rendered(const char* variables, const std::string& name = {}) const {
    return rendered_in(folder_.path(), variables, name);
  }
  static std::string rendered_in(const std::filesystem::path& folder, const char* variables,
                                 const std::string& name = {}) {
    Settings settings;
    settings.runtime.model_reference = folder.string();
    const Result<Text> text = Text::open(settings);
    if (!text.ok()) return text.error().message;
    std::string out;
    TemplateOptions options;
    options.name = name;
    const auto failed = text->render(variables, options, out);
    return failed ? failed->error.message : out;
  }

  const io::TemporaryFolder folder_;
};

TEST_F(FolderText, ToolsGoThroughTheAdditionalTemplateForThem) {
  folder_.write("chat_template.jinja", "D{{ messages[0].content }}");
  EXPECT_EQ(rendered(kHiWithTools), "Dhi");
  folder_.write("additional_chat_templates/tool_use.jinja", "T{{ messages[0].content }}");
  folder_.write("additional_chat_templates/rag.jinja", "R{{ messages[0].content }}");
  EXPECT_EQ(rendered(kHiWithTools), "Thi");
  EXPECT_EQ(rendered(kHi), "Dhi");
  EXPECT_EQ(rendered(kHi, "rag"), "Rhi");
  EXPECT_NE(rendered(kHi, "none").find("'default', 'rag', 'tool_use'"), std::string::npos);
}

TEST_F(FolderText, TheOldFileOfProcessorsCountsWhereThereIsNoOther) {
  folder_.write("chat_template.json", R"({"chat_template": "O{{ bos_token }}"})");
  folder_.write("special_tokens_map.json", R"({"bos_token": "<m>"})");
  EXPECT_EQ(rendered(kHi), "O<m>");
  folder_.write("processor_config.json", R"({"chat_template": "P"})");
  EXPECT_EQ(rendered(kHi), "P");
  folder_.write("tokenizer_config.json", R"({"chat_template": "C", "model_max_length": Infinity})");
  EXPECT_EQ(rendered(kHi), "C");
}

TEST_F(FolderText, OfTheFieldRendersAsTransformersDoes) {
  OLLM_NEED_TEST_DATA(data);
  EXPECT_EQ(rendered_in(data / "field" / "additional-chat-templates" / "model",
                        R"({"messages": [{"role": "user", "content": "hi"}],
                            "tools": [{"type": "function", "function": {"name": "f"}}]})"),
            "[T:user]hi");
}

}  // namespace
}  // namespace ollm
