// Normal forms are those of the tokenizers library, whose tables are of Unicode 9 (unicode.h): what
// was assigned later neither decomposes nor moves. The expected texts are those of tokenizers
// 0.23.3. Leaves whole tokenizers to the goldens.
#include "ollm/text/unicode.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace ollm::text::unicode {
namespace {

std::string normalized(std::string_view text, NormalizationForm form) {
  std::string out;
  while (!text.empty()) {
    const std::size_t part = independent_prefix(text);
    append_normalized(out, text.substr(0, part), form);
    text.remove_prefix(part);
  }
  return out;
}

struct Case {
  NormalizationForm form;
  std::string_view text;
  std::string_view expected;
};

TEST(NormalForms, MarksMoveByTheirClassUnlessUnicodeNineDidNotKnowThem) {
  const Case cases[] = {
      {NormalizationForm::nfc, "\u6F22\u0302\u0316", "\u6F22\u0316\u0302"},
      {NormalizationForm::nfc, "\u6F22\u0302\u08D0", "\u6F22\u0302\u08D0"},    // Unicode 14
      {NormalizationForm::nfd, "e\u0301\u1715\u0316", "e\u0301\u1715\u0316"},  // class since 14
      {NormalizationForm::nfc, "x\u0301\u0EBA\u0316", "x\u0301\u0EBA\u0316"},  // class since 12
      {NormalizationForm::nfc, "\u0EBA\u0301\u0316", "\u0EBA\u0316\u0301"},
  };
  for (const Case& c : cases) EXPECT_EQ(normalized(c.text, c.form), c.expected) << c.text;
}

TEST(NormalForms, NothingComposesAcrossAMarkOfLaterUnicode) {
  EXPECT_EQ(normalized("a\u0316\u0301", NormalizationForm::nfc), "\u00E1\u0316");
  EXPECT_EQ(normalized("a\u0D3B\u0301", NormalizationForm::nfc), "a\u0D3B\u0301");
}

TEST(NormalForms, CharactersOfLaterUnicodeKeepTheirForm) {
  EXPECT_EQ(normalized("\u32FE", NormalizationForm::nfkc), "\u30F2");
  for (const std::string_view text :
       {"\u32FF", "\U0001F16C", "\U00011938", "\U00011935\U00011930"}) {
    for (const NormalizationForm form : {NormalizationForm::nfc, NormalizationForm::nfd,
                                         NormalizationForm::nfkc, NormalizationForm::nfkd}) {
      EXPECT_EQ(normalized(text, form), text);
    }
  }
}

TEST(Lower, KnowsLettersThatAreNewerThanTheLibraryBelow) {
  std::string out;
  for (const char32_t c :
       {U'\u00C4', U'\u0130', U'\uA7CB', U'\U00010D50', U'\U00010D65', U'\U00010D66'})
    append_lower(out, c);
  EXPECT_EQ(out, "\u00E4i\u0307\u0264\U00010D70\U00010D85\U00010D66");
}

TEST(Marks, ThoseThatUnicodeNineDidNotKnowAreNone) {
  EXPECT_TRUE(is_mark(U'\u0301'));
  EXPECT_FALSE(is_mark(U'\u08D0'));  // Unicode 14
  EXPECT_FALSE(is_mark(U'\u0CF3'));  // Unicode 15
  EXPECT_FALSE(is_nonspacing_mark(U'\u0ECE'));
}

}  // namespace
}  // namespace ollm::text::unicode
