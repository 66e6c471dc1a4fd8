// UnicodeScripts (pre_tokenizer.h): a new word wherever the script changes, as SentencePiece's
// trainer does. Leaves which code point belongs to which script to the table beside it.
#include <algorithm>
#include <iterator>

#include "ollm/text/pre_tokenizer.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

struct ScriptRange {
  char32_t first;
  char32_t last;
  int script;
};

constexpr ScriptRange kScripts[] = {
#include "ollm/text/unicode_scripts_table.inc"
};

constexpr int kAny = 0;  // goes with whatever stands beside it

int script_of(char32_t c) {
  const auto* found = std::lower_bound(
      std::begin(kScripts), std::end(kScripts), c,
      [](const ScriptRange& range, char32_t wanted) { return range.last < wanted; });
  return found != std::end(kScripts) && found->first <= c ? found->script : kAny;
}

class UnicodeScripts final : public PreTokenizer {
 public:
  Result<void> apply(const Word& whole, RegexScratch&, WordSink& next) const override {
    return split(whole, next, [](std::string_view word, const auto& emit) -> Result<void> {
      // What stands before the first character of a script is dropped, as the library does.
      std::size_t begin = word.size();
      int last = kAny;  // none seen yet
      for (std::size_t at = 0; at < word.size();) {
        const std::size_t here = at;
        const int script = script_of(unicode::next_code_point(word, at));
        if (script == kAny) continue;
        if (script != last) {
          if (last != kAny) emit(begin, here);
          begin = here;
        }
        last = script;
      }
      emit(begin, word.size());
      return {};
    });
  }
};

}  // namespace

PreTokenizerPtr make_unicode_scripts_pre_tokenizer() { return std::make_unique<UnicodeScripts>(); }

}  // namespace ollm::text
