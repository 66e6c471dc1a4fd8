// Where Oniguruma and PCRE2 differ, patterns match as Oniguruma has it (oniguruma.h, regex.h).
// Leaves what both agree on to PCRE2. The expected pieces are those of tokenizers 0.23.3.
#include "ollm/text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ollm/text/pattern.h"

namespace ollm::text {
namespace {

using ::testing::HasSubstr;

// Every match in brackets, the rest as it stands.
std::string marked(std::string_view pattern, std::string_view text) {
  auto regex = Regex::make(pattern);
  if (!regex.ok()) return regex.error().message;
  const Pattern wrapped(std::move(regex).value());
  RegexScratch scratch;
  Matches matches(wrapped, text, scratch);
  TextSpan match;
  std::string out;
  std::size_t done = 0;
  for (;;) {
    auto found = matches.next(match);
    if (!found.ok()) return found.error().message;
    if (!*found) break;
    out += text.substr(done, match.begin - done);
    out += '[' + std::string(text.substr(match.begin, match.end - match.begin)) + ']';
    done = match.end;
  }
  return out + std::string(text.substr(done));
}

struct Case {
  const char* pattern;
  const char* text;
  const char* expected;
};

TEST(Oniguruma, PatternsMatchAsInTheHuggingFaceLibrary) {
  const Case cases[] = {
      // anchors
      {"^b", "a\nb", "a\n[b]"},
      {"a$", "a\nb", "[a]\nb"},
      {R"(\Aa)", "a\na", "[a]\na"},
      {R"(a\z)", "a\na", "a\n[a]"},
      {R"(a\Z)", "a\n", "[a]\n"},
      {R"(\G\d)", "12a3", "[1][2]a3"},
      // options
      {"(?m:a.b)", "a\nb", "[a\nb]"},
      {"a.b", "a\nb", "a\nb"},
      {"(?x: a b )", "ab", "[ab]"},
      {"(?i:s)", "Sſ", "[S][ſ]"},
      {"(?i)[a-z]", "aAſ\u212A1", "[a][A][ſ][\u212A]1"},
      {"(?i)[^a]", "Ab", "A[b]"},
      {R"((?i)\p{Lu})", "aA", "a[A]"},
      {R"((?i)[\p{Lu}])", "aA", "[a][A]"},
      {"(?i)[[:upper:]]", "aA", "[a][A]"},
      // quantifiers
      {R"(\p{N}{1,2}+)", "12345", "[12345]"},
      {"a{1,2}+a", "aaa", "[aaa]"},
      {"a{,2}", "aaaaa", "[aa][aa][a]"},
      {"a{2}?", "aaa", "[aa]a[]"},
      {"a{1,2}?", "aaa", "[a][a][a]"},
      {"a+*", "aaab", "[aaa]b[]"},
      {"a++a", "aaa", "aaa"},
      {R"(\d++\d)", "12", "12"},
      {"a?+a", "a", "a"},
      {"a{x}", "a{x}", "[a{x}]"},
      {"a{", "a{", "[a{]"},
      // classes and properties
      {R"(\h+)", "ffg", "[ff]g"},
      {R"(\w+)", "e\u0301²_-", "[e\u0301²_]-"},
      {"[[:word:]]+", "a²", "[a]²"},
      {R"(\s)", "a\u0085b\u180Ec", "a[\u0085]b\u180Ec"},
      {R"(\b)", "e\u0301 a", "[]e\u0301[] []a[]"},
      {R"(\O)", "\n", "[\n]"},
      {R"(\N)", "\na", "\n[a]"},
      {R"(\R)", "a\r\nb", "a[\r\n]b"},
      {R"(\p{^L})", "a1", "a[1]"},
      {R"(\P{L})", "a1", "a[1]"},
      {R"(\pL)", "apL", "a[pL]"},
      {R"(\Q.\E)", ".Q.E", ".[Q.E]"},
      {R"(\p{Letter}+)", "aß1", "[aß]1"},
      {R"(\p{Hiragana})", "あア", "[あ]ア"},
      {"[[:punct:]]+", "a$+<=>^`|~!b", "a[$+<=>^`|~!]b"},
      {R"(\p{Punct}+)", "$!", "$[!]"},
      {"[[:^alpha:]]", "a1", "a[1]"},
      // sets of sets
      {"[a-z&&[^aeiou]]+", "hello", "[h]e[ll]o"},
      {"[^a-z&&[aeiou]]", "hel1", "[h]e[l][1]"},
      {"[a-c[x-z]&&[b-y]]+", "abcxyz", "a[bcxy]z"},
      {"[^a[b]]+", "ab]c", "ab[]c]"},
      {"[]a]", "]b", "[]]b"},
      {R"([\b])", "\b", "[\b]"},
      {R"([a\-z])", "-b", "[-]b"},
      // escapes
      {R"(\u0061\x62\x{63}\144)", "abcd", "[abcd]"},
      {R"(\é\/\#)", "é/#", "[é/#]"},
      // groups
      {R"((?<n>a)\k<n>)", "aab", "[aa]b"},
      {R"((?<n>a)\g<n>)", "aab", "[aa]b"},
      {R"((a)\1)", "aab", "[aa]b"},
      {"(?#note)a", "a", "[a]"},
      {"(?<=a|bc)d", "adbcd", "a[d]bc[d]"},
      {"(?>a+)b", "aab", "[aab]"},
      {"x|", "ax", "[]a[x]"},
      // newer than Unicode 14
      {R"(\p{S})", "\U0001FABF", "[\U0001FABF]"},
      {R"(\p{L})", "\U00031350", "[\U00031350]"},
      {R"([^\s\p{L}]+)", "\U00031350\U0001FABF", "\U00031350[\U0001FABF]"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(marked(one.pattern, one.text), one.expected) << one.pattern << " in " << one.text;
  }
}

TEST(Oniguruma, WhatItRefusesIsCorrupt) {
  for (const char* pattern : {"(", ")", "[", "+", "a|*", "[z-a]", R"(\p{Foo})", R"(\)", "(?<n",
                              "(?u)a", R"(\x{110000})", R"([\ud800])", "(?", "(*ACCEPT)"}) {
    auto regex = Regex::make(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.error().kind, ErrorKind::corrupt) << regex.error().message;
    EXPECT_THAT(regex.error().message, HasSubstr(pattern));
  }
}

TEST(Oniguruma, WhatIsNotTranslatedIsUnsupported) {
  for (const char* pattern : {"(?~ab)", R"(\y)", "(?W:a)", "(?P<n>a)", R"(\cA)", "(?(1)a)"}) {
    auto regex = Regex::make(pattern);
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.error().kind, ErrorKind::unsupported) << regex.error().message;
  }
}

TEST(Oniguruma, NestingIsBounded) {
  EXPECT_FALSE(Regex::make(std::string(5000, '[') + 'a' + std::string(5000, ']')).ok());
  EXPECT_FALSE(Regex::make(std::string(5000, '(') + 'a' + std::string(5000, ')')).ok());
  EXPECT_FALSE(Regex::make(std::string(100'000, 'a')).ok());
}

TEST(Regex, AnEmptyMatchRightBehindAMatchDoesNotCount) {
  EXPECT_EQ(marked("a*", "aab"), "[aa]b[]");
}

}  // namespace
}  // namespace ollm::text
