// Hostile templates: each ends by a named limit, with its place, in bounded memory and time.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "ollm/base/clock.h"
#include "ollm/text/template/render_for_test.h"

namespace ollm::text {
namespace {

std::size_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  while (times-- > 0) out += text;
  return out;
}

constexpr std::string_view kSteps = "more than 5000000 steps";
constexpr std::string_view kMemory = "values of more than 16777216 bytes";
constexpr std::string_view kOutput = "output of more than 16777216 bytes";
constexpr std::string_view kValues = "values nested more than 128 deep";
constexpr std::string_view kNesting = "nested more than 64 deep";

struct Hostile {
  std::string source;
  std::string_view limit;
};

std::vector<Hostile> hostile_templates() {
  const std::string many = "{% for i in range(100000) %}";
  const std::string doubling =
      "{% set ns = namespace(x=START) %}{% for i in range(100) %}"
      "{% set ns.x = STEP %}{% endfor %}END";
  const auto doubled = [&](std::string_view start, std::string_view step, std::string_view end) {
    std::string source = doubling;
    source.replace(source.find("START"), 5, start);
    source.replace(source.find("STEP"), 4, step);
    source.replace(source.find("END"), 3, end);
    return source;
  };
  return {
      // Loops.
      {many + many + "{% endfor %}{% endfor %}", kSteps},
      {many + many + "{{ i * i }}{% endfor %}{% endfor %}", kSteps},
      {"{{ range(1000000000) }}", "a range of 1000000000 items, above 100000"},
      {"{% for x in range(0, 9000000000000000000, 7) %}{% endfor %}", "a range of"},
      {"{{ [1]|slice(1000000000000)|list }}", kMemory},
      {"{{ [1]|batch(1000000000000, 0)|list }}", kMemory},
      // Text that grows.
      {"{{ 'x' * 10**9 }}", kMemory},
      {"{{ 'x' * 10**18 }}", kMemory},
      {"{{ [1] * 10**9 }}", kMemory},
      {doubled("'x'", "ns.x + ns.x", ""), kMemory},
      {doubled("'x'", "ns.x ~ ns.x", ""), kMemory},
      {doubled("'x'", "'%s%s' % (ns.x, ns.x)", ""), kMemory},
      {doubled("'x'", "'{}{}'.format(ns.x, ns.x)", ""), kMemory},
      {doubled("'x'", "ns.x|replace('x', 'xx')", ""), kSteps},
      {doubled("'x'", "[ns.x, ns.x]|join", ""), kMemory},
      {doubled("[1]", "ns.x + ns.x", ""), kMemory},
      {"{{ 'a'|center(1000000000) }}", kMemory},
      {"{{ 'a'.ljust(1000000000) }}", kMemory},
      {"{{ '%1000000000d' % 1 }}", kMemory},
      {"{{ '{:1000000000}'.format(1) }}", kMemory},
      {"{{ ('a\n' * 1000000)|indent(1000) }}", kMemory},
      {"{{ [[[[1]]]]|tojson(indent=1000000000) }}", kMemory},
      {"{{ ('a' * 8000000)|list }}", kMemory},
      {"{{ strftime_now('%1000000d') }}", "a time of more than 65536 bytes"},
      {"{% set s = 'a' * 8000000 %}" + repeated("{{ s }}", 3), kOutput},
      {many + "{{ 'abcdefghij' * 100 }}{% endfor %}", kOutput},
      {"{% macro m(n) %}{{ 'a' * 3000000 }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}"
       "{{ m(60)|length }}",
       kMemory},
      // Recursion.
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "macros called more than 64 deep"},
      {"{% macro m(n) %}{% if n < 40 %}{{ m(n + 1) }}{{ m(n + 1) }}{% endif %}{% endmacro %}"
       "{{ m(0) }}",
       kSteps},
      {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "loops called more than 64 deep"},
      {"{% block b %}{{ self.b() }}{% endblock %}", "macros called more than 64 deep"},
      // Values inside values; parts that are shared make them exponentially large to walk.
      {doubled("[]", "[[ns.x]]", ""), kValues},
      {doubled("()", "(ns.x, ns.x)", "{{ ns.x }}"), kSteps},
      {doubled("()", "(ns.x, ns.x)", "{{ ns.x|tojson }}"), kSteps},
      {doubled("()", "(ns.x, ns.x)", "{{ ns.x == ns.x }}"), kSteps},
      {doubled("()", "(ns.x, ns.x)", "{{ {ns.x: 1} }}"), kSteps},
      {doubled("[1]", "ns.x|map('string')", "{{ ns.x }}") + doubled("[1]", "[[ns.x]]", ""),
       kValues},
      {"{% set ns = namespace(l=0) %}" + many +
           "{% for x in [ns.l] %}{% set ns.l = loop %}{% endfor %}{% endfor %}",
       kValues},
      // What is kept until the end.
      {many + "{% macro m() %}{% endmacro %}{% endfor %}", kMemory},
      {"{% set ns = namespace() %}" + many +
           "{% set n = namespace(p=ns.p) %}{% set ns.p = [n] %}{% endfor %}",
       kMemory},
      {"{% set ns = namespace() %}" + many +
           "{% set p = ns.m %}{% macro m() %}{{ p }}{% endmacro %}{% set ns.m = m %}{% endfor %}",
       kMemory},
      // Steps that cost more than others.
      {"{% set s = 'a' * 7000000 %}{% for i in range(1000) %}{% if s.endswith(s) %}{% endif %}"
       "{% endfor %}",
       kSteps},
      {"{% set s = 'é' * 3000000 %}{% for i in range(1000) %}{{ s[2999999] }}{% endfor %}", kSteps},
      {"{{ ('a' * 6000000).rfind('b' ~ 'a' * 3000000) }}", kSteps},
      // The source itself.
      {"{{ " + repeated("(", 100) + "1" + repeated(")", 100) + " }}", kNesting},
      {"{{ " + repeated("[", 50000) + " }}", kNesting},
      {"{{ " + repeated("{1:", 5000) + " }}", kNesting},
      {"{{ " + repeated("-", 5000) + "1 }}", kNesting},
      {"{{ " + repeated("not ", 5000) + "1 }}", kNesting},
      {"{{ 1" + repeated(" if 1 else 1", 5000) + " }}", kNesting},
      {repeated("{% if 1 %}", 100) + repeated("{% endif %}", 100), kNesting},
      {"{{ x" + repeated(".a", 5000) + " }}", "a chain of more than 256 links"},
      {"{{ x" + repeated("|e", 5000) + " }}", "a chain of more than 256 links"},
      {std::string(300'000, 'x'), "a template of 300000 bytes, above 262144"},
  };
}

TEST(TemplateLimits, EndHostileTemplatesByNameInBoundedTimeAndMemory) {
  const std::size_t peak_before = peak_bytes();
  double slowest = 0;
  double total = 0;
  for (const Hostile& hostile : hostile_templates()) {
    const double begin = thread_cpu_seconds();
    const auto result = render_for_test(hostile.source);
    const double seconds = thread_cpu_seconds() - begin;
    slowest = std::max(slowest, seconds);
    total += seconds;
    const std::string shown = hostile.source.substr(0, 100);
    const auto* error = std::get_if<TemplateError>(&result);
    ASSERT_NE(error, nullptr) << shown;
    EXPECT_EQ(error->kind, "limit") << shown << "\n" << error->error.message;
    EXPECT_EQ(error->error.kind, ErrorKind::out_of_budget) << shown;
    EXPECT_NE(error->error.message.find(hostile.limit), std::string::npos) << shown << "\n"
                                                                           << error->error.message;
    EXPECT_GE(error->line, 1u);
    EXPECT_GE(error->column, 1u);
    // The limit of processor time is one second; checked with room for a sanitizer.
    EXPECT_LT(seconds, 3.0) << shown;
  }
  std::cout << "all: " << total * 1e3 << " ms, slowest: " << slowest * 1e3 << " ms, peak grew by "
            << (peak_bytes() - peak_before) / 1024 / 1024 << " MiB\n";
  EXPECT_LT(peak_bytes() - peak_before, std::size_t{256} << 20);
}

TEST(TemplateLimits, LetThroughWhatIsOnlyLong) {
  EXPECT_EQ(rendered("{{ 0" + repeated(" + 1", 5000) + " }}"), "5000");
  EXPECT_EQ(rendered("{{ ('a'" + repeated(" ~ 'a'", 5000) + ")|length }}"), "5001");
  EXPECT_EQ(rendered("{{ 1" + repeated(" and 1", 5000) + " }}"), "1");
  EXPECT_EQ(rendered(repeated("{% if 1 %}", 60) + "x" + repeated("{% endif %}", 60)), "x");
  EXPECT_EQ(rendered("{% if 0 %}" + repeated("{% elif 0 %}", 1000) + "{% else %}y{% endif %}"),
            "y");
  EXPECT_EQ(rendered("{{ x" + repeated(".strip()", 100) + " }}", R"({"x": " a "})"), "a");
}

TEST(TemplateLimits, GrantMemoryForLargeVariables) {
  const std::string document(8 << 20, 'd');
  const nlohmann::ordered_json variables = {
      {"messages", {{{"role", "user"}, {"content", document}}}}};
  const auto compiled =
      ChatTemplate::compile("<s>{{ (messages[0].content|trim).replace('x', 'y') + '\n' }}</s>");
  const auto result = std::get<ChatTemplate>(compiled).render(variables, RenderClock::now());
  ASSERT_TRUE(std::holds_alternative<RenderedPrompt>(result))
      << std::get<TemplateError>(result).error.message;
  const auto& prompt = std::get<RenderedPrompt>(result);
  EXPECT_EQ(prompt.text.size(), document.size() + 8);
  EXPECT_EQ(prompt.literal, (std::vector<TextSpan>{{3, 3 + document.size()}}));
}

TEST(TemplateLimits, BoundNestedVariables) {
  std::string json = "1";
  for (int i = 0; i < 200; ++i) json = "[" + json + "]";
  const std::string found = rendered("{{ x }}", R"({"x": )" + json + "}");
  EXPECT_NE(found.find("limit: "), std::string::npos) << found;
  EXPECT_NE(found.find("variables nested more than 128 deep"), std::string::npos) << found;
}

TEST(TemplateLimits, AreTheCallersToSet) {
  RenderLimits limits;
  limits.steps = 100;
  EXPECT_NE(rendered("{% for i in range(50) %}{{ i }}{% endfor %}", "{}", limits)
                .find("more than 100 steps"),
            std::string::npos);
  limits = {};
  limits.output_bytes = 4;
  EXPECT_EQ(rendered("abcde", "{}", limits),
            "limit: line 1, column 1, output: limit: output of more than 4 bytes");
  limits = {};
  limits.cpu_time = std::chrono::milliseconds(0);
  EXPECT_EQ(rendered("{% for i in range(100000) %}{{ i }}{% endfor %}", "{}", limits),
            "limit: line 1, column 4, for: limit: more than 0 ms of processor time");
  limits = {};
  limits.evaluation_depth = 10;
  EXPECT_NE(rendered("{{ ((((((((((1+1)+1)+1)+1)+1)+1)+1)+1)+1)+1) }}", "{}", limits)
                .find("evaluation more than 10 deep"),
            std::string::npos);
}

}  // namespace
}  // namespace ollm::text
