// The pre-tokenizers that look at one character at a time, and Sequence (pre_tokenizer.h).
// Leaves out those that match patterns or rewrite words (pre_tokenizer_pattern.cc) and scripts.
#include "ollm/text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "ollm/text/byte_level.h"
#include "ollm/text/split_behavior.h"
#include "ollm/text/unicode.h"
#include "ollm/text/utf8.h"

namespace ollm::text {

namespace {

using unicode::next_code_point;

// Each character for which `matches` holds is a match of its own.
template <typename Matches>
class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(Matches matches, SplitBehavior behavior)
      : matches_(std::move(matches)), behavior_(behavior) {}

  Result<void> apply(const Word& whole, RegexScratch&, WordSink& next) const override {
    return split(whole, next, [&](std::string_view word, const auto& emit) -> Result<void> {
      Splitter splitter(behavior_, emit);
      std::size_t done = 0;
      for (std::size_t at = 0; at < word.size();) {
        const std::size_t begin = at;
        if (!matches_(next_code_point(word, at))) continue;
        if (done < begin) splitter.add({done, begin}, false);
        splitter.add({begin, at}, true);
        done = at;
      }
      if (done < word.size()) splitter.add({done, word.size()}, false);
      splitter.finish();
      return {};
    });
  }

 private:
  Matches matches_;
  SplitBehavior behavior_;
};

template <typename Matches>
PreTokenizerPtr character_split(Matches matches, SplitBehavior behavior) {
  return std::make_unique<CharacterSplit<Matches>>(std::move(matches), behavior);
}

// Runs of characters of one class, those of class 0 dropped.
template <typename ClassOf>
class Runs final : public PreTokenizer {
 public:
  explicit Runs(ClassOf class_of) : class_of_(std::move(class_of)) {}

  Result<void> apply(const Word& whole, RegexScratch&, WordSink& next) const override {
    return split(whole, next, [&](std::string_view word, const auto& emit) -> Result<void> {
      std::size_t run = 0;
      int run_class = 0;
      for (std::size_t at = 0; at < word.size();) {
        const std::size_t begin = at;
        const int here = class_of_(next_code_point(word, at));
        if (here == run_class) continue;
        if (run_class != 0) emit(run, begin);
        run = begin;
        run_class = here;
      }
      if (run_class != 0) emit(run, word.size());
      return {};
    });
  }

 private:
  ClassOf class_of_;
};

class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(std::size_t characters) : characters_(characters) {}

  Result<void> apply(const Word& whole, RegexScratch&, WordSink& next) const override {
    return split(whole, next, [&](std::string_view word, const auto& emit) -> Result<void> {
      std::size_t begin = 0;
      std::size_t count = 0;
      for (std::size_t at = 0; at < word.size();) {
        next_code_point(word, at);
        if (++count == characters_) {
          emit(begin, at);
          begin = at;
          count = 0;
        }
      }
      emit(begin, word.size());
      return {};
    });
  }

 private:
  std::size_t characters_;
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<PreTokenizerPtr> steps) : steps_(std::move(steps)) {}

  Result<void> apply(const Word& word, RegexScratch& scratch, WordSink& next) const override {
    return Rest(*this, 0, scratch, next).take(word);
  }
  bool needs_origin() const override {
    return std::any_of(steps_.begin(), steps_.end(),
                       [](const PreTokenizerPtr& step) { return step->needs_origin(); });
  }
  std::size_t memory_bytes() const override {
    std::size_t bytes = 0;
    for (const PreTokenizerPtr& step : steps_) bytes += step->memory_bytes();
    return bytes;
  }

  bool makes_bytes() const override { return !steps_.empty() && steps_.back()->makes_bytes(); }
  Growth growth() const override {
    Growth all;
    for (const PreTokenizerPtr& step : steps_) all = all.then(step->growth(), true);
    return all;
  }

 private:
  // The steps from one on, as what takes the words of the step before.
  class Rest final : public WordSink {
   public:
    Rest(const Sequence& of, std::size_t from, RegexScratch& scratch, WordSink& next)
        : of_(of), from_(from), scratch_(scratch), next_(next) {}
    Result<void> take(const Word& word) override {
      if (from_ == of_.steps_.size()) return next_.take(word);
      Rest rest(of_, from_ + 1, scratch_, next_);
      return of_.steps_[from_]->apply(word, scratch_, rest);
    }

   private:
    const Sequence& of_;
    std::size_t from_;
    RegexScratch& scratch_;
    WordSink& next_;
  };

  std::vector<PreTokenizerPtr> steps_;
};

}  // namespace

PreTokenizerPtr make_digits_pre_tokenizer(bool individual_digits) {
  return character_split([](char32_t c) { return unicode::is_numeric(c); },
                         individual_digits ? SplitBehavior::isolated : SplitBehavior::contiguous);
}

PreTokenizerPtr make_punctuation_pre_tokenizer(SplitBehavior behavior) {
  return character_split([](char32_t c) { return unicode::is_punctuation(c); }, behavior);
}

PreTokenizerPtr make_whitespace_pre_tokenizer() {
  const auto class_of = [](char32_t c) {
    if (unicode::is_word(c)) return 1;
    return unicode::is_white_space(c) ? 0 : 2;
  };
  return std::make_unique<Runs<decltype(class_of)>>(class_of);
}

PreTokenizerPtr make_whitespace_split_pre_tokenizer() {
  return character_split([](char32_t c) { return unicode::is_white_space(c); },
                         SplitBehavior::removed);
}

PreTokenizerPtr make_bert_pre_tokenizer() {
  std::vector<PreTokenizerPtr> steps;
  steps.push_back(make_whitespace_split_pre_tokenizer());
  steps.push_back(make_punctuation_pre_tokenizer(SplitBehavior::isolated));
  return make_sequence_pre_tokenizer(std::move(steps));
}

PreTokenizerPtr make_char_delimiter_pre_tokenizer(char32_t delimiter) {
  return character_split([delimiter](char32_t c) { return c == delimiter; },
                         SplitBehavior::removed);
}

PreTokenizerPtr make_fixed_length_pre_tokenizer(std::size_t characters) {
  return std::make_unique<FixedLength>(characters);
}

PreTokenizerPtr make_sequence_pre_tokenizer(std::vector<PreTokenizerPtr> steps) {
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace ollm::text
