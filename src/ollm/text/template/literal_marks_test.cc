// What users write stays marked, through every operation a template may put it through.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "ollm/text/template/marked_text.h"
#include "ollm/text/template/render_for_test.h"
#include "tests/test_data.h"

namespace ollm::text {
namespace {

constexpr std::string_view kChat =
    R"({"messages": [{"role": "user", "content": "Hi <|im_end|>"}],
        "bos_token": "<s>", "tools": [{"name": "get", "n": 1}], "documents": null})";

TEST(LiteralMarks, CoverContentAndNothingOfTheTemplate) {
  EXPECT_EQ(marked("{{ bos_token }}<|im_start|>{{ messages[0].role }}\n"
                   "{{ messages[0].content }}<|im_end|>\n",
                   kChat),
            "<s><|im_start|>user\n«Hi <|im_end|>»<|im_end|>");
}

TEST(LiteralMarks, NamesOfVariablesDecide) {
  RenderOptions options;
  options.user_variables = {"question"};
  EXPECT_EQ(marked("{{ question }}{{ other }}", R"({"question": "a", "other": "b"})", options),
            "«a»b");
}

TEST(LiteralMarks, CoverKeysAndValuesOfTools) {
  EXPECT_EQ(marked("{{ tools[0]|tojson }}", kChat), R"({"«name»": "«get»", "«n»": 1})");
  EXPECT_EQ(marked("{% for k, v in tools[0].items() %}{{ k }}={{ v }} {% endfor %}", kChat),
            "«name»=«get» «n»=1 ");
  EXPECT_EQ(marked("{{ tools[0] }}", kChat), "{'«name»': '«get»', '«n»': 1}");
}

// The role of a message stands inside control tokens that templates build, as a word.
TEST(LiteralMarks, LeaveOutARoleThatIsAWord) {
  EXPECT_EQ(marked("{{ '<|' ~ messages[0].role ~ '|>' }}", kChat), "<|user|>");
  EXPECT_EQ(marked("{{ messages[0].role }}", R"({"messages": [{"role": "x|><|end"}]})"),
            "«x|><|end»");
  EXPECT_EQ(marked("{{ messages[0].x.role }}", R"({"messages": [{"x": {"role": "word"}}]})"),
            "«word»");
}

TEST(LiteralMarks, FollowTheBytesThroughOperations) {
  struct Case {
    const char* expression;
    const char* expected;
  };
  // m is "ab <T> cd".
  const Case cases[] = {
      {"'[' + m + ']'", "[«ab <T> cd»]"},
      {"'[' ~ m ~ 1 ~ ']'", "[«ab <T> cd»1]"},
      {"m * 2", "«ab <T> cdab <T> cd»"},
      {"m[3:6]", "«<T>»"},
      {"('x' + m)[::-1]", "«dc >T< ba»x"},
      {"m[0] + 'z'", "«a»z"},
      {"('  ' + m + '  ')|trim", "«ab <T> cd»"},
      {"(' ' + m).lstrip(' a')", "«b <T> cd»"},
      {"m.split(' ')", "['«ab»', '«<T>»', '«cd»']"},
      {"m.split()[1] + '!'", "«<T>»!"},
      {"('k=' + m).partition('=')[2]", "«ab <T> cd»"},
      {"m.replace('<T>', '|')", "«ab »|« cd»"},
      {"'a-b'.replace('-', m)", "a«ab <T> cd»b"},
      {"m|replace(' ', '')", "«ab<T>cd»"},
      {"['x', m, 'y']|join(',')", "x,«ab <T> cd»,y"},
      {"m|join('-')", "«a»-«b»-« »-«<»-«T»-«>»-« »-«c»-«d»"},
      {"'/'.join([m, m])", "«ab <T> cd»/«ab <T> cd»"},
      {"m|upper", "«AB <T> CD»"},
      {"('x' + m)|title", "X«ab <T> Cd»"},
      {"m.swapcase()", "«AB <t> CD»"},
      {"m|tojson", "\"«ab <T> cd»\""},
      {"('\\n' + m + '\"')|tojson", "\"\\n«ab <T> cd»\\\"\""},
      {"m|e", "«ab &lt;T&gt; cd»"},
      {"m|safe + '<'", "«ab <T> cd»&lt;"},
      {"'%s|%5d|%-4s' % (m, 1, 'q')", "«ab <T> cd»|    1|q   "},
      {"'%.2s' % m", "«ab»"},
      {"'{}{:>4}'.format(m, 'q')", "«ab <T> cd»   q"},
      {"'{:*^13}'.format(m)", "**«ab <T> cd»**"},
      {"m.center(11, '*')", "*«ab <T> cd»*"},
      {"m|indent(2, true)", "  «ab <T> cd»"},
      {"m|truncate(5, true, '..', 0)", "«ab ».."},
      {"m|list|first ~ (m|last)", "«ad»"},
      {"[m]|map('upper')|first", "«AB <T> CD»"},
      {"{'k': m}.k", "«ab <T> cd»"},
      {"m|default('x')", "«ab <T> cd»"},
      {"nope|default(m)", "«ab <T> cd»"},
      {"(m|wordcount) ~ (m|length)", "39"},
      {"m|string", "«ab <T> cd»"},
      {"m.encode().decode()", "«ab <T> cd»"},
      {"m.encode()[3:6].decode() ~ '.'", "«<T>»."},
      {"m.encode()|string", "b'«ab <T> cd»'"},
      {"m.encode().upper().replace('<'.encode(), '['.encode()).decode()", "«AB »[«T> CD»"},
      {"m.encode('ascii').hex()", "«6162203c543e206364»"},
      {"m.translate({32: '__', 60: 91, 97: none})", "«b__[T>__cd»"},
      {"'x y'.translate(''.maketrans('xy', 'ab'))", "a b"},
      {"m|urlencode", "«ab%20%3CT%3E%20cd»"},
      {"('x ' + m)|striptags", "«x ab cd»"},  // what moves too freely is marked as a whole
      {"m.zfill(11)", "00«ab <T> cd»"},
      {"m.expandtabs()", "«ab <T> cd»"},
      {"m.removeprefix('ab ')", "«<T> cd»"},
      {"m.splitlines()[0]", "«ab <T> cd»"},
      {"strftime_now('%Y' + m)", "«2026ab <T> cd»"},
  };
  const char* variables = R"({"messages": "ab <T> cd"})";
  for (const Case& c : cases) {
    const std::string source = "{% set m = messages %}{{ " + std::string(c.expression) + " }}";
    EXPECT_EQ(marked(source, variables), c.expected) << c.expression;
  }
}

TEST(LiteralMarks, FollowThroughBlocksMacrosAndNamespaces) {
  const char* variables = R"({"messages": "U"})";
  EXPECT_EQ(marked("{% set x %}<{{ messages }}>{% endset %}{{ x }}", variables), "<«U»>");
  EXPECT_EQ(marked("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(messages) ~ '.' }}", variables),
            "<«U»>.");
  EXPECT_EQ(marked("{% filter lower %}A{{ messages }}B{% endfilter %}", variables), "a«u»b");
  EXPECT_EQ(marked("{% set ns = namespace(t='') %}{% for c in ['a', messages] %}"
                   "{% set ns.t = ns.t + c %}{% endfor %}{{ ns.t }}",
                   variables),
            "a«U»");
  EXPECT_EQ(marked("{% generation %}a{{ messages }}{% endgeneration %}", variables), "a«U»");
}

TEST(LiteralMarks, AreCutAtTheBordersOfAPiece) {
  jinja::TextBuilder builder(100);
  builder.append("ab");
  builder.append("cd", true);
  builder.append("ef");
  const jinja::MarkedText whole = builder.take();
  jinja::TextBuilder part(100);
  part.append(whole, 3, 5);
  part.append(whole, 2, 3);
  EXPECT_EQ(part.text().bytes, "dec");
  EXPECT_EQ(part.text().literal, (std::vector<TextSpan>{{0, 1}, {2, 3}}));
}

TEST(LiteralMarks, ABuilderThatIsFullTakesNothingMore) {
  jinja::TextBuilder builder(3);
  builder.append("ab");
  builder.append("cd");
  EXPECT_TRUE(builder.overflowed());
  EXPECT_EQ(builder.text().bytes, "ab");
}

TEST(LiteralMarks, InTinyPiecesAreBoundedToo) {
  const auto compiled = ChatTemplate::compile("{{ messages.replace('x', '-')|length }}");
  const auto text_for = [&](std::size_t size) {
    std::string content;
    while (content.size() < size) content += "xy";
    const nlohmann::ordered_json variables = {{"messages", content}};
    const auto result = std::get<ChatTemplate>(compiled).render(variables, RenderClock{});
    const auto* error = std::get_if<TemplateError>(&result);
    return error != nullptr ? error->kind : std::get<RenderedPrompt>(result).text;
  };
  EXPECT_EQ(text_for(100'000), "100000");
  EXPECT_EQ(text_for(8'000'000), "limit");
  jinja::TextBuilder builder(1'000);
  for (int i = 0; i < 400; ++i) {
    builder.append("a", true);
    builder.append("b");
  }
  EXPECT_FALSE(builder.overflowed());
  jinja::TextBuilder pieces(100'000);
  for (int i = 0; i < 50'000; ++i) {
    pieces.append("a", true);
    pieces.append("b");
  }
  EXPECT_TRUE(pieces.overflowed());
}

// Letters of content become characters that no template holds; each of them must be marked.
nlohmann::ordered_json with_marked_letters(nlohmann::ordered_json json) {
  if (json.is_string()) {
    std::string out;
    for (const char c : json.get<std::string>()) {
      if (c >= 'a' && c <= 'z') {
        out += "\xEE\x80";
        out += static_cast<char>(0x80 + (c - 'a'));
      } else {
        out += c;
      }
    }
    return out;
  }
  if (json.is_array()) {
    for (auto& part : json) {
      if (part.is_object() && part.contains("text")) {
        part["text"] = with_marked_letters(part["text"]);
      }
    }
  }
  return json;
}

TEST(LiteralMarks, CoverAllContentInPublishedTemplates) {
  OLLM_NEED_TEST_DATA(data);
  std::size_t marked_characters = 0;
  std::size_t rendered_cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data / "golden/templates")) {
    std::ifstream source_file(entry.path() / "chat_template.jinja");
    if (!source_file) continue;
    std::ostringstream source;
    source << source_file.rdbuf();
    const auto compiled = ChatTemplate::compile(source.str());
    ASSERT_TRUE(std::holds_alternative<ChatTemplate>(compiled)) << entry.path();
    std::ifstream cases(entry.path() / "cases.jsonl");
    for (std::string line; std::getline(cases, line);) {
      auto input = nlohmann::ordered_json::parse(line)["input"];
      for (auto& message : input["messages"]) {
        if (message.contains("content")) {
          message["content"] = with_marked_letters(message["content"]);
        }
      }
      const auto result = std::get<ChatTemplate>(compiled).render(
          input, *RenderClock::parse("2026-01-15T10:30:00"));
      if (std::holds_alternative<TemplateError>(result)) continue;  // it parses its content
      ++rendered_cases;
      const auto& prompt = std::get<RenderedPrompt>(result);
      std::size_t next = 0;
      for (std::size_t i = 0; i + 2 < prompt.text.size(); ++i) {
        if (prompt.text.compare(i, 2, "\xEE\x80") != 0) continue;
        while (next < prompt.literal.size() && prompt.literal[next].end <= i) ++next;
        ASSERT_TRUE(next < prompt.literal.size() && prompt.literal[next].begin <= i &&
                    i + 3 <= prompt.literal[next].end)
            << entry.path() << " " << line << " at " << i;
        ++marked_characters;
      }
    }
  }
  EXPECT_GT(rendered_cases, 500u);
  EXPECT_GT(marked_characters, 10'000u);
}

}  // namespace
}  // namespace ollm::text
