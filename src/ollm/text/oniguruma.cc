// One pass over the pattern, writing PCRE2 as it goes (oniguruma.h).
// Leaves syntax errors without a difference in meaning, such as a stray parenthesis, to PCRE2.
#include "ollm/text/oniguruma.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "ollm/text/unicode_newer.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

// Sets without their brackets. Oniguruma answers \w from a Latin-1 table below U+0100, which counts
// ² ³ ¹ ¼ ½ ¾; [[:word:]] does not.
constexpr std::string_view kPosixWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kWord =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
constexpr std::string_view kSpace = R"(\t-\r\x{85}\p{Z})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

struct NamedSet {
  std::string_view name;  // lower case, without spaces, hyphens and underscores
  std::string_view set;
};

// Names that PCRE2 lacks or reads otherwise. Long names of categories, and POSIX names, for which
// \p{..} and [[:..:]] differ in Punct and Word only.
constexpr NamedSet kProperties[] = {
    {"any", R"(\x{0}-\x{10FFFF})"},
    {"assigned", R"(\P{Cn})"},
    {"letter", R"(\p{L})"},
    {"casedletter", R"(\p{Lu}\p{Ll}\p{Lt})"},
    {"lc", R"(\p{Lu}\p{Ll}\p{Lt})"},
    {"uppercaseletter", R"(\p{Lu})"},
    {"lowercaseletter", R"(\p{Ll})"},
    {"titlecaseletter", R"(\p{Lt})"},
    {"modifierletter", R"(\p{Lm})"},
    {"otherletter", R"(\p{Lo})"},
    {"mark", R"(\p{M})"},
    {"combiningmark", R"(\p{M})"},
    {"nonspacingmark", R"(\p{Mn})"},
    {"spacingmark", R"(\p{Mc})"},
    {"enclosingmark", R"(\p{Me})"},
    {"number", R"(\p{N})"},
    {"decimalnumber", R"(\p{Nd})"},
    {"letternumber", R"(\p{Nl})"},
    {"othernumber", R"(\p{No})"},
    {"punctuation", R"(\p{P})"},
    {"connectorpunctuation", R"(\p{Pc})"},
    {"dashpunctuation", R"(\p{Pd})"},
    {"openpunctuation", R"(\p{Ps})"},
    {"closepunctuation", R"(\p{Pe})"},
    {"initialpunctuation", R"(\p{Pi})"},
    {"finalpunctuation", R"(\p{Pf})"},
    {"otherpunctuation", R"(\p{Po})"},
    {"symbol", R"(\p{S})"},
    {"mathsymbol", R"(\p{Sm})"},
    {"currencysymbol", R"(\p{Sc})"},
    {"modifiersymbol", R"(\p{Sk})"},
    {"othersymbol", R"(\p{So})"},
    {"separator", R"(\p{Z})"},
    {"spaceseparator", R"(\p{Zs})"},
    {"lineseparator", R"(\p{Zl})"},
    {"paragraphseparator", R"(\p{Zp})"},
    {"other", R"(\p{C})"},
    {"control", R"(\p{Cc})"},
    {"format", R"(\p{Cf})"},
    {"privateuse", R"(\p{Co})"},
    {"unassigned", R"(\p{Cn})"},
    {"alnum", R"(\p{Alphabetic}\p{Nd})"},
    {"alpha", R"(\p{Alphabetic})"},
    {"blank", R"(\t\p{Zs})"},
    {"cntrl", R"(\p{Cc})"},
    {"digit", R"(\p{Nd})"},
    {"lower", R"(\p{Lowercase})"},
    {"upper", R"(\p{Uppercase})"},
    {"print", R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}\p{Cf}\p{Co})"},
    {"graph", R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Co})"},
    {"punct", R"(\p{P})"},
    {"space", kSpace},
    {"whitespace", kSpace},
    {"word", kPosixWord},
    {"xdigit", kHexDigit},
    {"ascii", R"(\x{0}-\x{7F})"},
};

// What the general categories are called in PCRE2; any other name may be a script.
constexpr std::array<std::string_view, 37> kCategories = {
    "c",  "cc", "cf", "cn", "co", "cs", "l",  "ll", "lm", "lo", "lt", "lu", "m",
    "mc", "me", "mn", "n",  "nd", "nl", "no", "p",  "pc", "pd", "pe", "pf", "pi",
    "po", "ps", "s",  "sc", "sk", "sm", "so", "z",  "zl", "zp", "zs"};

// Binary properties that a name may mean; what is neither a category nor one of these is a script.
constexpr std::string_view kBinary[] = {"alphabetic",
                                        "asciihexdigit",
                                        "bidicontrol",
                                        "caseignorable",
                                        "cased",
                                        "changeswhenlowercased",
                                        "changeswhenuppercased",
                                        "dash",
                                        "defaultignorablecodepoint",
                                        "deprecated",
                                        "diacritic",
                                        "emoji",
                                        "emojicomponent",
                                        "emojimodifier",
                                        "emojimodifierbase",
                                        "emojipresentation",
                                        "extendedpictographic",
                                        "extender",
                                        "graphemebase",
                                        "graphemeextend",
                                        "hexdigit",
                                        "idcontinue",
                                        "idstart",
                                        "ideographic",
                                        "joincontrol",
                                        "lowercase",
                                        "math",
                                        "noncharactercodepoint",
                                        "patternsyntax",
                                        "patternwhitespace",
                                        "quotationmark",
                                        "radical",
                                        "regionalindicator",
                                        "sentenceterminal",
                                        "softdotted",
                                        "terminalpunctuation",
                                        "unifiedideograph",
                                        "uppercase",
                                        "variationselector",
                                        "xidcontinue",
                                        "xidstart"};

// A set of characters: items that stand inside one pair of brackets, and others that need an
// expression of their own.
struct Set {
  std::string items;
  std::vector<std::string> expressions;
};

// An expression that matches one character of the set, or one outside it.
std::string write_set(const Set& set, bool negated) {
  if (set.expressions.empty()) {
    if (set.items.empty()) return negated ? R"((?s:.))" : "(?!)";
    return fmt::format("[{}{}]", negated ? "^" : "", set.items);
  }
  std::string parts = set.items.empty() ? "" : fmt::format("[{}]", set.items);
  for (const std::string& expression : set.expressions) {
    if (!parts.empty()) parts += '|';
    parts += expression;
  }
  return negated ? fmt::format("(?:(?!{})(?s:.))", parts) : fmt::format("(?:{})", parts);
}

// The same set with what Unicode has added to each property in it since PCRE2's table was made.
std::string with_newer(std::string_view items) {
  std::string out;
  while (!items.empty()) {
    const std::size_t found = items.find(R"(\p{)");
    const std::size_t end = found == std::string_view::npos ? found : items.find('}', found);
    if (end == std::string_view::npos) break;
    std::string name(items.substr(found + 3, end - found - 3));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (name.size() <= 2)
      name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
    out += items.substr(0, end + 1);
    out += unicode::newer_ranges(name);
    items.remove_prefix(end + 1);
  }
  out += items;
  return out;
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    if (in_.size() > kMaxPatternBytes) {
      return fail(ErrorKind::unsupported, fmt::format("a pattern of {} bytes; the limit is {}",
                                                      in_.size(), kMaxPatternBytes));
    }
    while (at_ < in_.size()) OLLM_TRY_VOID(element());
    return std::move(out_);
  }

 private:
  Error bad(std::string_view what) const {
    return fail(ErrorKind::corrupt, fmt::format("{} at byte {}", what, at_));
  }
  Error not_built(std::string_view what) const {
    return fail(ErrorKind::unsupported, fmt::format("{} at byte {} is not built", what, at_));
  }
  bool ahead(std::string_view text) const { return in_.substr(at_).starts_with(text); }

  Result<void> element() {
    const char c = in_[at_];
    switch (c) {
      case '\\':
        atom_ = out_.size();
        return escape();
      case '[':
        atom_ = out_.size();
        return bracket();
      case '(':
        return open_group();
      case ')':
        ++at_;
        out_ += ')';
        if (!groups_.empty()) {
          atom_ = groups_.back().start;
          ignore_case_ = groups_.back().ignore_case;
          groups_.pop_back();
        }
        quantified_ = false;
        return {};
      case '|':
        ++at_;
        out_ += '|';
        atom_.reset();
        return {};
      case '*':
      case '+':
      case '?':
        return quantifier(std::string(1, c), 1, true);
      case '{':
        return braces();
      default: {
        atom_ = out_.size();
        quantified_ = false;
        const std::size_t length = std::min(unicode::utf8_length(c), in_.size() - at_);
        out_ += in_.substr(at_, length);
        at_ += length;
        return {};
      }
    }
  }

  // x{n,m}, which Oniguruma takes for plain text where it is no quantifier.
  Result<void> braces() {
    std::size_t i = at_ + 1;
    const auto number = [&] {
      const std::size_t start = i;
      while (i < in_.size() && std::isdigit(static_cast<unsigned char>(in_[i]))) ++i;
      return in_.substr(start, i - start);
    };
    const std::string_view low = number();
    std::string_view high = low;
    bool comma = false;
    if (i < in_.size() && in_[i] == ',') {
      comma = true;
      ++i;
      high = number();
    }
    const bool closed = i < in_.size() && in_[i] == '}';
    if (!closed || (low.empty() && high.empty()) || !atom_) {
      atom_ = out_.size();
      quantified_ = false;
      out_ += "\\{";
      ++at_;
      return {};
    }
    if (low.size() > 5 || high.size() > 5) return bad("too big a repeat");
    const std::string text = comma ? fmt::format("{{{},{}}}", low.empty() ? "0" : low, high)
                                   : fmt::format("{{{}}}", low);
    return quantifier(text, i + 1 - at_, comma);
  }

  // Writes a quantifier; `ranged` tells that a following ? makes it lazy.
  Result<void> quantifier(std::string text, std::size_t length, bool ranged) {
    if (!atom_) return bad("nothing to repeat");
    if (quantified_) wrap();
    at_ += length;
    const bool braces = text[0] == '{';
    if (at_ < in_.size() && in_[at_] == '?' && ranged) {
      text += '?';
      ++at_;
    } else if (at_ < in_.size() && in_[at_] == '+' && !braces) {
      text += '+';
      ++at_;
    }
    out_ += text;
    quantified_ = true;
    return {};
  }

  void wrap() {
    out_.insert(*atom_, "(?:");
    out_ += ')';
    quantified_ = false;
  }

  Result<void> open_group() {
    groups_.push_back({out_.size(), ignore_case_});
    quantified_ = false;
    atom_.reset();
    if (!ahead("(?")) {
      out_ += ahead("(*") ? "(\\*" : "(";  // PCRE2 reads verbs there
      at_ += ahead("(*") ? 2 : 1;
      if (out_.back() == '*')
        return fail(ErrorKind::corrupt, fmt::format("nothing to repeat at byte {}", at_ - 1));
      return {};
    }
    if (ahead("(?#")) {
      groups_.pop_back();
      const std::size_t end = in_.find(')', at_);
      if (end == std::string_view::npos) return bad("a comment without end");
      at_ = end + 1;
      return {};
    }
    for (const std::string_view plain : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
      if (ahead(plain)) {
        out_ += plain;
        at_ += plain.size();
        return {};
      }
    }
    if (ahead("(?<") || ahead("(?'")) {
      const std::size_t end = in_.find(in_[at_ + 2] == '<' ? '>' : '\'', at_ + 3);
      if (end == std::string_view::npos) return bad("a group name without end");
      out_ += in_.substr(at_, end + 1 - at_);
      at_ = end + 1;
      return {};
    }
    return options();
  }

  // (?imx-imx) and (?imx-imx: ; Oniguruma's m is what others call s.
  Result<void> options() {
    std::string text = "(?";
    bool on = true;
    for (std::size_t i = at_ + 2; i < in_.size(); ++i) {
      switch (in_[i]) {
        case 'i':
          ignore_case_ = on;
          text += 'i';
          break;
        case 'm':
          text += 's';
          break;
        case 'x':
          text += 'x';
          break;
        case '-':
          on = false;
          text += '-';
          break;
        case ':':
          out_ += text + ':';
          at_ = i + 1;
          return {};
        case ')':
          // Holds to the end of the group around it, which restores what was before.
          groups_.pop_back();
          out_ += text + ')';
          at_ = i + 1;
          return {};
        case '~':
        case 'W':
        case 'D':
        case 'S':
        case 'P':
        case '(':
        case 'y':
          return not_built(fmt::format("group option '{}'", in_[i]));
        default:
          return bad("unknown group option");
      }
    }
    return bad("a group without end");
  }

  Result<void> escape() {
    quantified_ = false;
    if (at_ + 1 >= in_.size()) return bad("a backslash at the end");
    const char c = in_[at_ + 1];
    const auto put = [&](std::string_view text) {
      out_ += text;
      at_ += 2;
      return Result<void>();
    };
    switch (c) {
      case 'b':
        atom_.reset();
        return put(fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", with_newer(kWord)));
      case 'B':
        atom_.reset();
        return put(fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", with_newer(kWord)));
      case 'A':
      case 'z':
      case 'Z':
      case 'G':
        atom_.reset();
        return put(in_.substr(at_, 2));
      case 'O':
        return put("(?s:.)");
      case 'N':
        return put("[^\\n]");
      case 'R':
      case 'X':
      case 'K':
        return put(in_.substr(at_, 2));
      case 'y':
      case 'Y':
        return not_built("a text segment border");
      case 'k':
      case 'g': {
        const std::size_t end = in_.find('>', at_);
        if (at_ + 2 >= in_.size() || in_[at_ + 2] != '<' || end == std::string_view::npos) {
          return bad("a reference without name");
        }
        out_ += in_.substr(at_, end + 1 - at_);
        at_ = end + 1;
        return {};
      }
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
      case '7':
      case '8':
      case '9':
        // Several digits are a character in octal; no published pattern has ten groups.
        if (at_ + 2 < in_.size() && std::isdigit(static_cast<unsigned char>(in_[at_ + 2]))) {
          Set set;
          OLLM_TRY_VOID(set_escape(set));
          out_ += write_set(set, false);
          return {};
        }
        out_ += fmt::format("\\g{{{}}}", c);
        at_ += 2;
        return {};
      default: {
        Set set;
        OLLM_TRY_VOID(set_escape(set));
        out_ += write_set(set, false);
        return {};
      }
    }
  }

  // An escape that means one character or a set, at at_, which moves behind it.
  Result<void> set_escape(Set& set) {
    const char c = in_[at_ + 1];
    const auto add = [&](std::string_view items) {
      set.items += with_newer(items);
      at_ += 2;
      return Result<void>();
    };
    const auto add_outside = [&](std::string_view items) {
      set.expressions.push_back(fmt::format("[^{}]", with_newer(items)));
      at_ += 2;
      return Result<void>();
    };
    switch (c) {
      case 'w':
        return add(kWord);
      case 'W':
        return add_outside(kWord);
      case 's':
        return add(kSpace);
      case 'S':
        return add_outside(kSpace);
      case 'd':
        return add(R"(\p{Nd})");
      case 'D':
        return add_outside(R"(\p{Nd})");
      case 'h':
        return add(kHexDigit);
      case 'H':
        return add_outside(kHexDigit);
      case 'p':
      case 'P':
        if (at_ + 2 < in_.size() && in_[at_ + 2] == '{') return property(set);
        [[fallthrough]];
      default: {
        OLLM_TRY(const char32_t code_point, character());
        set.items += fmt::format("\\x{{{:X}}}", static_cast<std::uint32_t>(code_point));
        return {};
      }
    }
  }

  // One character, escaped or plain, at at_, which moves behind it.
  Result<char32_t> character() {
    if (in_[at_] != '\\') return unicode::next_code_point(in_, at_);
    if (at_ + 1 >= in_.size()) return bad("a backslash at the end");
    const char c = in_[at_ + 1];
    at_ += 2;
    switch (c) {
      case 't':
        return U'\t';
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 'f':
        return U'\f';
      case 'v':
        return U'\v';
      case 'a':
        return U'\a';
      case 'e':
        return char32_t{0x1B};
      case 'u':
        return number(16, 4, 4);
      case 'x':
        if (at_ < in_.size() && in_[at_] == '{') return braced_number(16);
        return number(16, 0, 2);
      case 'o':
        if (at_ < in_.size() && in_[at_] == '{') return braced_number(8);
        return U'o';
      case '0':
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
      case '7':
        --at_;
        return number(8, 1, 3);
      case 'c':
      case 'C':
      case 'M':
        return not_built("a control escape");
      default:
        --at_;
        return unicode::next_code_point(in_, at_);
    }
  }

  Result<char32_t> braced_number(int base) {
    ++at_;
    OLLM_TRY(const char32_t value, number(base, 1, 8));
    if (at_ >= in_.size() || in_[at_] != '}') return bad("a code point without end");
    ++at_;
    return value;
  }

  Result<char32_t> number(int base, std::size_t least, std::size_t most) {
    std::uint64_t value = 0;
    std::size_t digits = 0;
    for (; digits < most && at_ < in_.size(); ++digits, ++at_) {
      const char c = in_[at_];
      int digit = 99;
      if (c >= '0' && c <= '9') digit = c - '0';
      if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
      if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
      if (digit >= base) break;
      value = value * static_cast<std::uint64_t>(base) + static_cast<std::uint64_t>(digit);
    }
    if (digits < least) return bad("too short a code point");
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
      return bad(fmt::format("code point {:X}", value));
    }
    return static_cast<char32_t>(value);
  }

  Result<void> property(Set& set) {
    bool negated = in_[at_ + 1] == 'P';
    const std::size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) return bad("a property without end");
    std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    OLLM_TRY(const std::string items, named_set(name));
    at_ = end + 1;
    if (negated) {
      set.expressions.push_back(fmt::format("[^{}]", items));
    } else {
      set.items += items;
      if (ignore_case_ && in_set_ > 0) set.items += other_cases(items);
    }
    return {};
  }

  // In a set without regard to case, a property of one case takes the other along.
  static std::string_view other_cases(std::string_view items) {
    for (const std::string_view cased : {R"(\p{Lu})", R"(\p{Ll})", R"(\p{Lt})"}) {
      if (items.starts_with(cased)) return R"(\p{Lu}\p{Ll}\p{Lt})";
    }
    if (items.starts_with(R"(\p{Uppercase})") || items.starts_with(R"(\p{Lowercase})")) {
      return R"(\p{Uppercase}\p{Lowercase})";
    }
    return "";
  }

  Result<std::string> named_set(std::string_view name) const {
    std::string plain;
    for (const char c : name) {
      if (c == ' ' || c == '-' || c == '_') continue;
      if (!std::isalnum(static_cast<unsigned char>(c)))
        return bad(fmt::format("property '{}'", name));
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    for (const NamedSet& named : kProperties) {
      if (named.name == plain) return with_newer(named.set);
    }
    if (std::find(kCategories.begin(), kCategories.end(), plain) != kCategories.end() ||
        std::find(std::begin(kBinary), std::end(kBinary), plain) != std::end(kBinary)) {
      if (plain.size() <= 2) {
        plain[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(plain[0])));
      }
      return with_newer(fmt::format("\\p{{{}}}", plain));
    }
    return with_newer(
        fmt::format("\\p{{sc:{}}}", plain));  // PCRE2 refuses it where it is no script either
  }

  Result<void> bracket() {
    quantified_ = false;
    ++in_set_;
    OLLM_TRY(const std::string expression, set_expression(0));
    --in_set_;
    out_ += expression;
    return {};
  }

  // A whole set from '[' at at_, as an expression for one character.
  Result<std::string> set_expression(int depth) {
    if (depth > kMaxPatternDepth) return bad("too deeply nested a set");
    ++at_;
    const bool negated = ahead("^");
    if (negated) ++at_;
    std::vector<Set> sides(1);  // of &&
    bool first = true;
    for (;; first = false) {
      if (at_ >= in_.size()) return bad("a set without end");
      if (in_[at_] == ']' && !first) {
        ++at_;
        break;
      }
      if (ahead("&&")) {
        at_ += 2;
        sides.emplace_back();
        continue;
      }
      if (ahead("[:")) {
        OLLM_TRY(const bool is_class, posix_class(sides.back()));
        if (is_class) continue;
      }
      if (in_[at_] == '[') {
        OLLM_TRY(std::string inner, set_expression(depth + 1));
        sides.back().expressions.push_back(std::move(inner));
        continue;
      }
      OLLM_TRY_VOID(set_item(sides.back()));
    }
    if (sides.size() == 1) return write_set(sides[0], negated);
    std::string all;
    for (std::size_t i = 0; i + 1 < sides.size(); ++i) {
      all += fmt::format("(?={})", write_set(sides[i], false));
    }
    all += write_set(sides.back(), false);
    return negated ? fmt::format("(?:(?!{})(?s:.))", all) : fmt::format("(?:{})", all);
  }

  Result<bool> posix_class(Set& set) {
    const std::size_t end = in_.find(":]", at_);
    if (end == std::string_view::npos) return false;
    std::string_view name = in_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_letter)) return false;
    std::string items = with_newer(R"(\p{P}\p{S})");
    if (name != "punct") {
      OLLM_TRY(items, named_set(name));
    }
    at_ = end + 2;
    if (negated) {
      set.expressions.push_back(fmt::format("[^{}]", items));
    } else {
      set.items += items;
      if (ignore_case_) set.items += other_cases(items);
    }
    return true;
  }

  // A character, a range of them, or an escaped set.
  Result<void> set_item(Set& set) {
    if (in_[at_] == '\\') {
      if (at_ + 1 >= in_.size()) return bad("a backslash at the end");
      const char c = in_[at_ + 1];
      if (std::string_view("wWsSdDhH").find(c) != std::string_view::npos ||
          ((c == 'p' || c == 'P') && at_ + 2 < in_.size() && in_[at_ + 2] == '{')) {
        return set_escape(set);
      }
      if (c == 'b') {
        at_ += 2;
        set.items += R"(\x{8})";
        return {};
      }
    }
    OLLM_TRY(const char32_t low, character());
    set.items += fmt::format("\\x{{{:X}}}", static_cast<std::uint32_t>(low));
    const bool range = ahead("-") && at_ + 1 < in_.size() && in_[at_ + 1] != ']' && !ahead("-&&");
    if (!range) return {};
    if (in_[at_ + 1] == '[') return {};  // the hyphen stands for itself
    ++at_;
    OLLM_TRY(const char32_t high, character());
    if (high < low) return bad("an empty range");
    set.items += fmt::format("-\\x{{{:X}}}", static_cast<std::uint32_t>(high));
    return {};
  }

  struct Group {
    std::size_t start;  // of what it wrote
    bool ignore_case;   // outside it
  };

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  std::optional<std::size_t> atom_;  // where in out_ begins what a quantifier would repeat
  bool quantified_ = false;          // and whether it has one already
  std::vector<Group> groups_;
  bool ignore_case_ = false;
  int in_set_ = 0;
};

}  // namespace

Result<std::string> translate_oniguruma(std::string_view pattern) {
  if (unicode::valid_utf8_prefix(pattern) != pattern.size()) {
    return fail(ErrorKind::corrupt, "a pattern that is not UTF-8");
  }
  return Translator(pattern).run();
}

}  // namespace ollm::text
