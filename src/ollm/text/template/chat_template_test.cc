// What a caller of ChatTemplate relies on: errors with places, the clock, threads.
#include "ollm/text/template/chat_template.h"

#include <gtest/gtest.h>

#include <thread>

#include "ollm/text/template/render_for_test.h"

namespace ollm::text {
namespace {

struct Failing {
  const char* source;
  const char* kind;
  ErrorKind error_kind;
  std::size_t line;
  std::size_t column;
  const char* message;
};

TEST(TemplateErrors, NameLineColumnAndConstruct) {
  const Failing cases[] = {
      {"a\n{{ x", "syntax", ErrorKind::corrupt, 2, 5,
       "line 2, column 5: expected 'end of print statement', got 'end of template'"},
      {"{% if x %}\nab", "syntax", ErrorKind::corrupt, 2, 3,
       "line 2, column 3: the template ends too early; expected 'elif' or 'else' or 'endif' to go "
       "on with 'if'"},
      {"é{% nosuch %}", "syntax", ErrorKind::corrupt, 1, 5,
       "line 1, column 5: unknown tag 'nosuch'"},
      {"{{ 'x'|nosuch }}", "syntax", ErrorKind::corrupt, 1, 8,
       "line 1, column 8: No filter named 'nosuch'."},
      {"{{ 1 is nosuch }}", "syntax", ErrorKind::corrupt, 1, 9,
       "line 1, column 9: No test named 'nosuch'."},
      {"{{ [1, 2 }}", "syntax", ErrorKind::corrupt, 1, 10,
       "line 1, column 10: unexpected '}', expected ']'"},
      {"{% break %}", "syntax", ErrorKind::corrupt, 1, 4,
       "line 1, column 4: 'break' outside of a loop"},
      {"{# open", "syntax", ErrorKind::corrupt, 1, 1,
       "line 1, column 1: Missing end of comment tag"},
      {"{{ '\\ud800' }}", "syntax", ErrorKind::corrupt, 1, 5,
       "line 1, column 5: \\u needs hexadecimal digits of a character"},
      {"{{ 99999999999999999999 }}", "syntax", ErrorKind::corrupt, 1, 4,
       "line 1, column 4: an integer beyond 64 bits"},
      {"{% autoescape true %}{% endautoescape %}", "syntax", ErrorKind::unsupported, 1, 4,
       "line 1, column 4: the tag 'autoescape' is not built"},
      {"{{ a.b\n.c }}", "runtime", ErrorKind::invalid_argument, 1, 5,
       "line 1, column 5, attribute 'b': 'a' is undefined"},
      {"{{ 'x' + 1 }}", "runtime", ErrorKind::invalid_argument, 1, 8,
       "line 1, column 8, operator '+': can only concatenate str (not \"int\") to str"},
      {"x\n  {{ none|length }}", "runtime", ErrorKind::invalid_argument, 2, 11,
       "line 2, column 11, filter 'length': object of type 'NoneType' has no len()"},
      {"{{ f(1) }}", "runtime", ErrorKind::invalid_argument, 1, 5,
       "line 1, column 5, call of 'f': 'f' is undefined"},
      {"{% for a, b in [[1]] %}{% endfor %}", "runtime", ErrorKind::invalid_argument, 1, 8,
       "line 1, column 8, unpacking: not enough values to unpack (expected 2, got 1)"},
      {"{% macro m() %}\n{{ 1 // 0 }}{% endmacro %}{{ m() }}", "runtime",
       ErrorKind::invalid_argument, 2, 6,
       "line 2, column 6, operator '//': integer division or modulo by zero"},
      {"{{ 'x'|urlize }}", "runtime", ErrorKind::unsupported, 1, 8,
       "line 1, column 8, filter 'urlize': the filter 'urlize' is not built"},
      {"{% include 'x' %}", "runtime", ErrorKind::invalid_argument, 1, 4,
       "line 1, column 4, include: no loader for this environment specified"},
      {"{{ 1 }}\n{{ raise_exception('No ' ~ 1 ~ '!') }}", "raise_exception",
       ErrorKind::invalid_argument, 2, 19, "No 1!"},
  };
  for (const Failing& c : cases) {
    const auto result = render_for_test(c.source);
    const auto* error = std::get_if<TemplateError>(&result);
    ASSERT_NE(error, nullptr) << c.source;
    EXPECT_EQ(error->kind, c.kind) << c.source;
    EXPECT_EQ(error->error.kind, c.error_kind) << c.source;
    EXPECT_EQ(error->error.message, c.message) << c.source;
    EXPECT_EQ(error->line, c.line) << c.source;
    EXPECT_EQ(error->column, c.column) << c.source;
  }
}

TEST(TemplateErrors, OfBytesThatAreNoText) {
  EXPECT_EQ(rendered("\xFF"), "syntax: line 1, column 1: the template is not UTF-8");
  const nlohmann::ordered_json variables = {{"x",
                                             "a\xFF"
                                             "b"}};
  const auto compiled = ChatTemplate::compile("{{ x }}{{ x|length }}");
  const auto result = std::get<ChatTemplate>(compiled).render(variables, RenderClock::now());
  EXPECT_EQ(std::get<RenderedPrompt>(result).text,
            "a\xEF\xBF\xBD"
            "b3");
}

TEST(TemplateErrors, OfVariablesThatAreNoObject) {
  EXPECT_EQ(rendered("x", "[1]"),
            "runtime: line 1, column 1: the variables of a template are an object");
}

TEST(RenderClock, ReadsALocalTimeAndNothingElse) {
  EXPECT_EQ(rendered("{{ strftime_now('%d %B %Y %A %H:%M:%S %j %p|%Z%z|%f|%%|%-d') }}"),
            "15 January 2026 Thursday 10:30:00 015 AM||000000|%|15");
  EXPECT_TRUE(RenderClock::parse("2024-02-29T23:59:59").ok());
  for (const char* text :
       {"", "2026-01-15", "2026-01-15T10:30", "2026-02-30T10:30:00", "2026-13-01T00:00:00",
        "2026-01-15T10:30:00Z", "2026-01-15 10:30:00", "x026-01-15T10:30:00", "2026-01-15T24:30:00",
        "+026-01-15T10:30:00", "-026-01-15T10:30:00"}) {
    const auto clock = RenderClock::parse(text);
    ASSERT_FALSE(clock.ok()) << text;
    EXPECT_EQ(clock.error().kind, ErrorKind::invalid_argument) << text;
  }
  EXPECT_GT(RenderClock::now().local.tm_year, 100);
}

TEST(ChatTemplate, RendersInManyThreadsAtOnce) {
  const auto compiled = ChatTemplate::compile(
      "{% macro m(x) %}<{{ x }}>{% endmacro %}{% set ns = namespace(t='') %}"
      "{% for i in range(200) %}{% set ns.t = ns.t + m(k ~ i) %}{% endfor %}{{ ns.t }}");
  const auto& chat_template = std::get<ChatTemplate>(compiled);
  const auto text_for = [&](int k) {
    const auto result = chat_template.render({{"k", k}}, RenderClock{});
    return std::get<RenderedPrompt>(result).text;
  };
  const std::string expected = text_for(7);
  std::vector<std::thread> threads;
  std::vector<std::string> found(8);
  for (std::size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < 20; ++turn) found[i] = text_for(7);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : found) EXPECT_EQ(text, expected);
}

TEST(ChatTemplate, KeepsIntegersOf64BitsAndTheirUnsignedNeighbours) {
  EXPECT_EQ(rendered("{{ x }} {{ x|tojson }} {{ x == x }} {{ x > 1 }} {{ x is integer }}",
                     R"({"x": 18446744073709551615})"),
            "18446744073709551615 18446744073709551615 True True True");
  EXPECT_EQ(rendered("{{ x + 1 }}", R"({"x": 18446744073709551615})"),
            "runtime: line 1, column 6, operator '+': an integer beyond 64 bits");
  EXPECT_EQ(rendered("{{ x }} {{ y }}", R"({"x": -9223372036854775808, "y": 1.0})"),
            "-9223372036854775808 1.0");
  EXPECT_EQ(rendered("{{ x * 2 }}", R"({"x": 9223372036854775807})"),
            "runtime: line 1, column 6, operator '*': an integer beyond 64 bits");
  EXPECT_EQ(rendered("{{ -x }}", R"({"x": -9223372036854775808})"),
            "runtime: line 1, column 4, arithmetic: an integer beyond 64 bits");
  EXPECT_EQ(rendered("{{ x // -1 }}", R"({"x": -9223372036854775808})"),
            "runtime: line 1, column 6, operator '//': an integer beyond 64 bits");
  EXPECT_EQ(rendered("{{ x % -1 }}", R"({"x": -9223372036854775808})"), "0");
}

}  // namespace
}  // namespace ollm::text
