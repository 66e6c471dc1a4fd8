// Jinja's language as templates use it, one table for each part of it.
// What is expected was printed by jinja2 3.1.6 with the settings of Transformers.
#include <gtest/gtest.h>

#include "ollm/text/template/render_for_test.h"

namespace ollm::text {
namespace {

// `expected` is null where rendering must fail.
struct Case {
  const char* source;
  const char* variables;
  const char* expected;
};

void expect_all(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    const auto result = render_for_test(c.source, c.variables);
    if (c.expected == nullptr) {
      EXPECT_TRUE(std::holds_alternative<TemplateError>(result)) << c.source;
      continue;
    }
    EXPECT_EQ(rendered(c.source, c.variables), c.expected) << c.source;
  }
}

TEST(TemplateLanguage, Whitespace) {
  expect_all({
      {"a\n  {% if true %}\n  b\n  {% endif %}\nc", "{}", "a\n  b\nc"},
      {"a {%- if true -%} b {%- endif -%} c", "{}", "abc"},
      {"a\n  {%+ if true +%}\nb{% endif %}", "{}", "a\n  \nb"},
      {"  {# c #}\n x  {#- d -#}  y", "{}", " xy"},
      {"x\n\n", "{}", "x\n"},
      {"a\r\nb\rc", "{}", "a\nb\nc"},
      {"{% raw %}\n {{ x }}\n{%- endraw %}\n y", "{}", "\n {{ x }} y"},
      {"a\n {{ 1 }}\n\t{%- set x = 1 %}\nb", "{}", "a\n 1b"},
      {"{{ '\\n' }}  {% if 1 %}x{% endif %}", "{}", "\n  x"},
      {"{{- 1 -}} 2 {{- 3 }}", "{}", "123"},
  });
}

TEST(TemplateLanguage, Scopes) {
  expect_all({
      {"{% set x=1 %}{% for i in [1,2] %}{{ x }}{% set x=i+5 %}{{ x }}{% endfor %}{{ x }}", "{}",
       "16171"},
      {"{% set x=1 %}{% if true %}{% set x=2 %}{% endif %}{{ x }}", "{}", "2"},
      {"{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}[{{ a }}]", "{}", "12[]"},
      {"{% set t %}{% set z=1 %}{{ z }}{% endset %}{{ t }}[{{ z }}]", "{}", "1[]"},
      {"{% macro m() %}{{ v }}{% endmacro %}{% set v=1 %}{{ m() }}{% with v=2 %}{{ m() }}{% "
       "endwith %}",
       "{}", "11"},
      {"{% for i in [1,2] %}{% macro m() %}{{ i }}{{ loop.index }}{% endmacro %}{{ m() }}{% endfor "
       "%}",
       "{}", "1122"},
      {"{% set a = 'x' %}{% block b %}{{ a }}{% set a='y' %}{{ a }}{% endblock %}{{ a }}{{ "
       "self.b() }}",
       "{}", "xyxxy"},
      {"{% for i in [1] %}{% block c scoped %}{{ i }}{% endblock %}{% block d %}[{{ i }}]{% "
       "endblock %}{% endfor %}",
       "{}", "1[]"},
      {"{% set ns = namespace(a=0) %}{% for i in range(4) if ns.a < 2 %}{{ i }}{% set ns.a = ns.a "
       "+ 1 %}{% endfor %}",
       "{}", "01"},
      {"{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}", "{}", "12"},
      {"{% filter upper %}{% set q=1 %}a{{ q }}{% endfilter %}[{{ q }}]", "{}", "A1[]"},
      {"{{ x }}{% set x = 2 %}{{ x }}", "{\"x\": 1}", "12"},
      {"{% set range = 5 %}{{ range }}", "{}", "5"},
      {"{{ dict }}", "{\"dict\": 1}", "1"},
  });
}

TEST(TemplateLanguage, Loops) {
  expect_all({
      {"{% for i in 'ab' %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ "
       "loop.previtem }}{{ loop.nextitem }}|{% endfor %}",
       "{}", "1TrueFalse2b|2FalseTrue2a|"},
      {"{% for i in [] %}x{% else %}none{% endfor %}", "{}", "none"},
      {"{% for i in [1,2] %}{% continue %}{% else %}all cut{% endfor %}", "{}", "all cut"},
      {"{% for i in [1,2] %}{{ i }}{% break %}{% else %}cut{% endfor %}", "{}", "1cut"},
      {"{% for i in range(5) if i is odd %}{{ loop.index }}:{{ i }}{{ loop.last }} {% endfor %}",
       "{}", "1:1False 2:3True "},
      {"{% for i in [1,1,2] %}{{ loop.changed(i) }}{{ loop.cycle('a','b') }} {% endfor %}", "{}",
       "Truea Falseb Truea "},
      {"{% for k, (a, b) in [(1, (2, 3))] %}{{ k }}{{ a }}{{ b }}{% endfor %}", "{}", "123"},
      {"{% for x in [1,[2,[3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x "
       "}}@{{ loop.depth }}{% endif %}{% endfor %}",
       "{}", "1@1(2@2(3@3))"},
      {"{% for i in [1,2] %}{% set o = loop %}{% for j in [1] %}{{ o.index }}{{ loop.revindex }}{% "
       "endfor %}{% endfor %}",
       "{}", "1121"},
      {"{% set g = [1,2]|map('string') %}{{ g|list }}{{ g|list }}", "{}", "['1', '2'][]"},
      {"{% for a in {'x':1,'y':2} %}{{ a }}{% endfor %}", "{}", "xy"},
      {"{% for a in x.items() %}{{ a }}{% endfor %}", "{\"x\": {\"p\": 1}}", "('p', 1)"},
  });
}

TEST(TemplateLanguage, Macros) {
  expect_all({
      {"{% macro m(a, b=2, *c) %}{% endmacro %}", "{}", nullptr},
      {"{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(b=3, a=4) }}", "{}",
       "1143"},
      {"{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}", "{}",
       "(1, 2){'k': 3}"},
      {"{% macro m() %}<{{ caller('x') }}>{% endmacro %}{% call(y) m() %}{{ y }}!{% endcall %}",
       "{}", "<x!>"},
      {"{% macro m(caller=none) %}{{ caller is none }}{% endmacro %}{{ m() }}", "{}", "True"},
      {"{% macro m() %}a{% endmacro %}{{ m()|upper ~ m().strip() }}", "{}", "Aa"},
      {"{% macro f(n) %}{{ n if n < 2 else (f(n-1)|int + f(n-2)|int) }}{% endmacro %}{{ f(10) }}",
       "{}", "55"},
      {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{}", nullptr},
      {"{% macro m(a) %}{% endmacro %}{{ m(z=2) }}", "{}", nullptr},
      {"{% macro m(x) %}{{ x is defined }}{% endmacro %}{{ m() }}", "{}", "False"},
  });
}

TEST(TemplateLanguage, Numbers) {
  expect_all({
      {"{{ 7 // -2 }} {{ -7 % 3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1 "
       "/ 4 }}",
       "{}", "-4 2 3.0 0.5 1024 0.5 0.25"},
      {"{{ 1e16 }} {{ 1e15 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 1e-4 }} {{ 1.0 }} {{ -0.0 }} {{ 5e-324 "
       "}} {{ 1e308 * 10 }}",
       "{}", "1e+16 1000000000000000.0 0.30000000000000004 1e-05 0.0001 1.0 -0.0 5e-324 inf"},
      {"{{ true + true }} {{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ 2 < 3 < 4 }} {{ 1 in "
       "[true] }}",
       "{}", "2 True True False True True"},
      {"{{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ 2 + 3 * 4 - 1 }} {{ 10 - 2 - 3 }} {{ (1 + 2) ~ 3 }}",
       "{}", "4 64 13 5 33"},
      {"{{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 1_000 }} {{ 1_0.5e1 }}", "{}", "31 3 15 1000 105.0"},
      {"{{ 9007199254740993 == 9007199254740993.0 }} {{ 9007199254740993 > 9007199254740992.0 }}",
       "{}", "False True"},
      {"{{ 2.675|round(2) }} {{ 2.5|round }} {{ 25|round(-1) }} {{ 35|round(-1) }} {{ "
       "1.1|round(0,'ceil') }} {{ -1.1|round(0,'floor') }}",
       "{}", "2.67 2.0 20 40 2.0 -2.0"},
      {"{{ ' 12 '|int }} {{ '1_000'|int }} {{ '0x1f'|int(0,16) }} {{ '1e3'|int }} {{ 'x'|int(7) }} "
       "{{ 3.9|int }} {{ -3.9|int }} {{ 'inf'|int(5) }}",
       "{}", "12 1000 31 1000 7 3 -3 5"},
      {"{{ '1.5'|float }} {{ 'x'|float }} {{ ' 2e3 '|float }} {{ true|float }} {{ 'nan'|float }}",
       "{}", "1.5 0.0 2000.0 1.0 nan"},
      {"{{ 1000|filesizeformat }} {{ 1|filesizeformat }} {{ 123456789|filesizeformat }} {{ "
       "1048576|filesizeformat(true) }} {{ 999|filesizeformat }}",
       "{}", "1.0 kB 1 Byte 123.5 MB 1.0 MiB 999 Bytes"},
      {"{{ 1.5.is_integer() }} {{ 7 .bit_length() }}", "{}", "False 3"},
  });
}

TEST(TemplateLanguage, Strings) {
  expect_all({
      {"{{ 'straße ŉ ﬁ'.upper() }} {{ 'ΑΣ ΑΣΑ'.lower() }} {{ 'ǆ'.title() }} {{ 'İ'.lower()|length "
       "}} {{ 'aB'.swapcase() }} {{ 'ß'.casefold() }}",
       "{}", "STRASSE ʼN FI ας ασα ǅ 2 Ab ss"},
      {"{{ ' a\\u2003'.strip() }}|{{ 'xyx'.strip('x') }}|{{ 'abc'.lstrip('ba') }}", "{}", "a|y|c"},
      {"{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(none, 1) }} {{ "
       "'a,b,c'.rsplit(',', 1) }} {{ ' x '.split(none, 0) }}",
       "{}", "['a', 'b', '', 'c'] ['a', 'b'] ['a', 'b c'] ['a,b', 'c'] ['x ']"},
      {"{{ 'aXbX'.replace('X', 'y', 1) }} {{ 'ab'.replace('', '-') }} {{ 'aaa'.count('aa') }} {{ "
       "'hello'.find('l', 3) }} {{ 'hello'.rfind('l') }} {{ 'héllo'.index('l') }}",
       "{}", "aybX -a-b- 1 3 3 2"},
      {"{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'x'.partition('=') }}", "{}",
       "('a', '=', 'b=c') ('a=b', '=', 'c') ('x', '', '')"},
      {"{{ 'ab'.startswith(('x', 'a')) }} {{ 'ab'.endswith('b', 0, 1) }} {{ ''.startswith('', 1) "
       "}}",
       "{}", "True False False"},
      {"{{ 'a\\nb\\r\\nc\\x0bd'.splitlines() }} {{ 'a\\n\\nb\\n'.splitlines(true) }}", "{}",
       "['a', 'b', 'c', 'd'] ['a\\n', '\\n', 'b\\n']"},
      {"{{ '٣'.isdigit() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ '½'.isnumeric() }} {{ "
       "'é'.isalpha() }} {{ 'ª'.islower() }} {{ 'A b'.istitle() }} {{ '_a1'.isidentifier() }} {{ "
       "'1a'.isidentifier() }}",
       "{}", "True True False True True True False True False"},
      {"{{ 'ab'.center(5, '*') }} {{ 'abc'.center(6, '*') }} {{ '-4'.zfill(5) }} {{ 'a'.ljust(3) "
       "}}| {{ 'a\\tb'.expandtabs(4) }}",
       "{}", "**ab* *abc** -0004 a  | a   b"},
      {"{{ 'abc'[::-1] }} {{ 'héy'[1] }} {{ 'abc'[-2:] }} {{ 'abc'[5:] }} {{ 'abc'[2:0:-1] }}",
       "{}", "cba é bc  cb"},
      {"{{ 'it\\'s' }} {{ ['it\\'s', 'a\"b', '\\x00é\\u200b\\U0001F600\\n'] }}", "{}",
       "it's [\"it's\", 'a\"b', '\\x00é\\u200b😀\\n']"},
      {"{{ 'abc'.join([]) }} {{ ','.join('abc') }} {{ 'a' in 'cat' }} {{ '' in '' }}", "{}",
       " a,b,c True True"},
      {"{{ 'prefix'.removeprefix('pre') }} {{ 'a.py'.removesuffix('.py') }}", "{}", "fix a"},
  });
}

TEST(TemplateLanguage, Formats) {
  expect_all({
      {"{{ '%5.1f|%-6d|%06d|%+d|%x|%#o|%e|%g|%c|%%' % (3.14159, 42, -42, 7, 255, 8, 12345.678, "
       "0.0001, 'z') }}",
       "{}", "  3.1|42    |-00042|+7|ff|0o10|1.234568e+04|0.0001|z|%"},
      {"{{ '%s %r' % ('a', 'a') }} {{ '%(a)s' % {'a': 1} }} {{ '%.2s|%*d' % ('abc', 5, 42) }}",
       "{}", "a 'a' 1 ab|   42"},
      {"{{ '{:>6}|{:^7}|{:<5}|{:*^5}'.format('a', 'bc', 1, 'x') }}", "{}",
       "     a|  bc   |1    |**x**"},
      {"{{ '{:05d} {:,} {:.2f} {:e} {:%} {:x} {:#b} {:+} {:_}'.format(42, 1234567, 3.14159, "
       "1234.5, 0.25, 255, 5, 3, 1000000) }}",
       "{}", "00042 1,234,567 3.14 1.234500e+03 25.000000% ff 0b101 +3 1_000_000"},
      {"{{ '{0}{1}{0} {a} {b[k]} {c.x}'.format(1, 2, a=3, b={'k': 4}, c={'x': 5}) }}", "{}",
       "121 3 4 5"},
      {"{{ '{!r:>6} {{}}'.format('a') }} {{ '{:{}}'.format('a', 4) }}|", "{}", "   'a' {} a   |"},
      {"{{ '{:010.3f}|{:015,.2f}|{:=+8}'.format(3.14159, 12345.678, 42) }}", "{}",
       "000003.142|0,000,012,345.68|+     42"},
      {"{{ '{} {}'.format(1) }}", "{}", nullptr},
      {"{{ '%d' % 'a' }}", "{}", nullptr},
      {"{{ '%s' % (1, 2) }}", "{}", nullptr},
      {"{{ '{:d}'.format('a') }}", "{}", nullptr},
      {"{{ '{:.3}|{:g}|{:.0f}|{:.1%}'.format(3.14159, 1e20, 2.5, 0.12345) }}", "{}",
       "3.14|1e+20|2|12.3%"},
  });
}

TEST(TemplateLanguage, Filters) {
  expect_all({
      {"{{ 'hello wORLD-foo'|title }} {{ 'aB'|capitalize }} {{ 'abc'|upper }}", "{}",
       "Hello World-Foo Ab ABC"},
      {"{{ [3,1,2]|sort }} {{ ['b','A','c']|sort }} {{ ['b','A']|sort(case_sensitive=true) }} {{ "
       "[1,2]|sort(reverse=true) }}",
       "{}", "[1, 2, 3] ['A', 'b', 'c'] ['A', 'b'] [2, 1]"},
      {"{{ [{'a':2,'b':1},{'a':1,'b':2}]|sort(attribute='a,b')|map(attribute='b')|list }}", "{}",
       "[2, 1]"},
      {"{{ [1,2,3,4]|select('even')|list }} {{ [1,0,2]|select|list }} {{ [1,2]|reject('eq', "
       "1)|list }} {{ none|select|list }}",
       "{}", "[2, 4] [1, 2] [2] []"},
      {"{{ [{'r':'u','c':1},{'r':'a'}]|selectattr('c','defined')|map(attribute='r')|join }} {{ "
       "[{'r':1},{}]|map(attribute='r',default=9)|list }}",
       "{}", "u [1, 9]"},
      {"{{ {'b':1,'A':2}|dictsort }} {{ {'b':1,'a':2}|dictsort(by='value') }} {{ "
       "{'a':1}|items|list }}",
       "{}", "[('A', 2), ('b', 1)] [('b', 1), ('a', 2)] [('a', 1)]"},
      {"{{ ['a','A','b']|unique|list }} {{ [1,2,3]|sum }} {{ ['b','a']|min }} {{ []|max }}|{{ "
       "[1,5,2]|max }}",
       "{}", "['a', 'b'] 6 a |5"},
      {"{% for g, l in [{'k':'b','v':1},{'k':'A','v':2},{'k':'B','v':3}]|groupby('k') %}{{ g }}:{{ "
       "l|map(attribute='v')|join(',') }};{% endfor %}",
       "{}", "A:2;b:1,3;"},
      {"{{ [1,2,3,4,5]|batch(2,'-')|list }} {{ [1,2,3,4,5]|slice(3)|list }}", "{}",
       "[[1, 2], [3, 4], [5, '-']] [[1, 2], [3, 4], [5]]"},
      {"{{ 'a\\nb\\n\\nc'|indent(2) }}|{{ 'a\\n\\nb'|indent('> ', true, true) }}", "{}",
       "a\n  b\n\n  c|> a\n> \n> b"},
      {"{{ 'hello brave world'|truncate(11) }} {{ 'hello brave world'|truncate(11, true) }} {{ "
       "'hello'|truncate(5) }}",
       "{}", "hello... hello br... hello"},
      {"{{ '<a href=\"x\">1 &amp; 2</a>  <!-- c --> y'|striptags }} {{ '<b>'|e }} {{ '<b>'|safe|e "
       "}} {{ ('<b>'|e)|forceescape }}",
       "{}", "1 & 2 y &lt;b&gt; <b> &amp;lt;b&amp;gt;"},
      {"{{ 'a b/é?&'|urlencode }} {{ {'a b': 'c/d', 'e': 1}|urlencode }} {{ {'class': 'x', 'id': "
       "none}|xmlattr }}",
       "{}", "a%20b/%C3%A9%3F%26 a+b=c%2Fd&e=1  class=\"x\""},
      {"{{ nope|default('d') }} {{ ''|d('e', true) }} {{ none|default('f') }} {{ 'abc'|first }}{{ "
       "[1,2]|last }} {{ []|first }}|",
       "{}", "d e None a2 |"},
      {"{{ 'abc'|reverse }} {{ [1,2]|reverse|list }} {{ 'ab'|list }} {{ {'a':1}|length }} {{ 'one "
       "two-three'|wordcount }}",
       "{}", "cba [2, 1] ['a', 'b'] 1 3"},
      {"{{ '%s=%s'|format('a', 1) }} {{ 'x'|center(5) }}| {{ -3|abs }} {{ 'a-b'|replace('-', '+') "
       "}} {{ [1,[2]]|string }}",
       "{}", "a=1   x  | 3 a+b [1, [2]]"},
      {"{{ [[1,2],[3]]|sum(start=[]) }} {{ [{'a':{'b':5}}]|map(attribute='a.b')|first }} {{ "
       "['ab']|map('first')|list }} {{ 'X'|attr('lower') is defined }}",
       "{}", "[1, 2, 3] 5 ['a'] True"},
      {"{{ '<i>' ~ ('<b>'|safe) }} {{ '<i>' + ('<b>'|safe) }} {{ ('<b>%s'|safe) % '<' }} {{ "
       "('<b>{}'|safe).format('<') }} {{ ('-'|safe).join(['<']) }}",
       "{}", "<i><b> &lt;i&gt;<b> <b>&lt; <b>&lt; &lt;"},
  });
}

TEST(TemplateLanguage, Tojson) {
  expect_all({
      {"{{ {'a': [1, 1.0, none, true, 'é\"\\\\/\\n\\x01'], 'b': {}}|tojson }}", "{}",
       "{\"a\": [1, 1.0, null, true, \"é\\\"\\\\/\\n\\u0001\"], \"b\": {}}"},
      {"{{ {'b': [1], 'a': {'c': []}}|tojson(indent=2, sort_keys=true) }}", "{}",
       "{\n  \"a\": {\n    \"c\": []\n  },\n  \"b\": [\n    1\n  ]\n}"},
      {"{{ 'é😀'|tojson(ensure_ascii=true) }} {{ [1,2]|tojson(separators=(',', ':')) }} {{ {1: 2, "
       "none: 3, 1.5: 4}|tojson }}",
       "{}", "\"\\u00e9\\ud83d\\ude00\" [1,2] {\"1\": 2, \"null\": 3, \"1.5\": 4}"},
      {"{{ nope|tojson }}", "{}", nullptr},
      {"{{ {(1,2): 3}|tojson }}", "{}", nullptr},
      {"{{ [1]|tojson(indent=0) }} {{ []|tojson(indent=2) }} {{ (1,)|tojson }}", "{}",
       "[\n1\n] [] [1]"},
  });
}

TEST(TemplateLanguage, Tests) {
  expect_all({
      {"{{ nope is defined }} {{ none is none }} {{ 1 is integer }} {{ true is integer }} {{ 1.0 "
       "is float }} {{ 'a' is string }} {{ {} is mapping }} {{ 'a' is sequence }} {{ 1 is iterable "
       "}} {{ true is true }} {{ 1 is true }}",
       "{}", "False True True False True True True True False True False"},
      {"{{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 2 is gt 1 }} {{ 'a' is in ['a'] }} {{ 1 is not "
       "eq 2 }} {{ 'ab' is lower }} {{ 1 is sameas 1.0 }}",
       "{}", "True True True True True True False"},
      {"{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }} {{ range is callable }} "
       "{{ ('a'|safe) is escaped }}",
       "{}", "True False True True True"},
      {"{% if false %}{{ 1 is nosuch }}{% endif %}ok{{ 'y'|nosuch if false else 'n' }}", "{}",
       "okn"},
  });
}

TEST(TemplateLanguage, Undefined) {
  expect_all({
      {"[{{ nope }}]{{ nope|length }}{% for x in nope %}{% endfor %}{{ nope == nope2 }}{{ 'a' ~ "
       "nope }}",
       "{}", "[]0Truea"},
      {"{{ nope.x }}", "{}", nullptr},
      {"{{ nope + 1 }}", "{}", nullptr},
      {"{{ {}.x.y }}", "{}", nullptr},
      {"{{ none.a }}|{{ [1][5] }}|{{ 'abc'[9] }}", "{}", "||"},
      {"{{ 'x' if false }}|{{ ('x' if false) is undefined }}", "{}", "|True"},
      {"{{ nope() }}", "{}", nullptr},
      {"{{ ''.__class__ }}|{{ [].append is defined }}", "{}", "|False"},
      {"{{ [].append(1) }}", "{}", nullptr},
      {"{{ ''.__class__.__mro__ }}", "{}", nullptr},
  });
}

}  // namespace
}  // namespace ollm::text
