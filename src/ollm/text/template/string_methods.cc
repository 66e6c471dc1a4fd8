#include "ollm/text/template/string_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/bytes_value.h"
#include "ollm/text/template/characters.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"
#include "ollm/text/template/string_search.h"
#include "ollm/text/template/translate.h"

namespace ollm::text::jinja {
namespace {

bool is_markup(const Value& text) { return text.as<StringObject>().markup; }

bool strips(char32_t c, const Value* characters) {
  if (characters == nullptr) return is_space(c);
  const std::string_view set = characters->text().bytes;
  for (std::size_t i = 0; i < set.size();) {
    const CodePoint candidate = decode_at(set, i);
    if (candidate.value == c) return true;
    i += candidate.size;
  }
  return false;
}

template <CaseForm form>
Result<Value> case_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("str method", arguments, {}, 0));
  return with_case(in, self, form);
}

template <bool left, bool right>
Result<Value> strip_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("strip", arguments, {"chars"}, 0));
  const Value* characters = bound.given(0);
  if (characters != nullptr && !characters->is(Kind::string)) {
    if (characters->is(Kind::undefined)) return undefined_error(*characters);
    return runtime_error("strip arg must be None or str");
  }
  return stripped(in, self, characters, left, right);
}

template <char align>
Result<Value> justify_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("ljust", arguments, {"width", "fillchar"}, 1));
  OLLM_TRY(const std::int64_t width, bound.whole(0, 0));
  std::string_view fill = " ";
  if (bound.has(1)) {
    if (!bound[1]->is(Kind::string) || bound[1]->as<StringObject>().code_points != 1) {
      return runtime_error("The fill character must be exactly one character long");
    }
    fill = bound[1]->text().bytes;
  }
  return justified(in, self, width, fill, align);
}

Result<Value> zfill(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("zfill", arguments, {"width"}, 1));
  OLLM_TRY(const std::int64_t width, bound.whole(0, 0));
  const MarkedText& text = self.text();
  const auto size = static_cast<std::int64_t>(self.as<StringObject>().code_points);
  const std::size_t sign =
      !text.bytes.empty() && (text.bytes[0] == '-' || text.bytes[0] == '+') ? 1 : 0;
  TextBuilder out = in.heap().builder();
  out.append(text, 0, sign);
  if (width > size) out.append_repeated("0", static_cast<std::size_t>(width - size));
  out.append(text, sign, text.bytes.size());
  return in.heap().string(std::move(out), is_markup(self));
}

Result<Value> replace(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("replace", arguments, {"old", "new", "count"}, 2));
  OLLM_TRY(const std::int64_t count, bound.whole(2, -1));
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    if (bound[i]->is(Kind::undefined)) return undefined_error(*bound[i]);
    if (!bound[i]->is(Kind::string)) {
      return runtime_error(
          fmt::format("replace() argument {} must be str, not {}", i + 1, type_name(*bound[i])));
    }
  }
  if (is_markup(self)) {  // safe text takes in other text escaped
    TextBuilder from = in.heap().builder();
    TextBuilder to = in.heap().builder();
    is_markup(*bound[0]) ? from.append(bound[0]->text()) : append_escaped(from, bound[0]->text());
    is_markup(*bound[1]) ? to.append(bound[1]->text()) : append_escaped(to, bound[1]->text());
    return replaced(in, self, from.text(), to.text(), count);
  }
  return replaced(in, self, bound[0]->text(), bound[1]->text(), count);
}

Result<Value> join(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("join", arguments, {"iterable"}, 1));
  if (bound[0]->is(Kind::undefined)) return in.heap().string("");
  OLLM_TRY(const Items items, items_of(in, *bound[0]));
  const bool markup = is_markup(self);
  TextBuilder out = in.heap().builder();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!in.budget().spend(1) || out.overflowed()) break;
    if (i > 0) out.append(self.text());
    if (!items[i].is(Kind::string)) {
      if (markup) {
        const Value text = str_of(in, items[i]);
        append_escaped(out, text.text());
        continue;
      }
      if (items[i].is(Kind::undefined)) return undefined_error(items[i]);
      return runtime_error(
          fmt::format("sequence item {}: expected str instance, {} found", i, type_name(items[i])));
    }
    if (markup && !is_markup(items[i])) {
      append_escaped(out, items[i].text());
    } else {
      out.append(items[i].text());
    }
  }
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out), markup);
}

template <bool prefix>
Result<Value> remove_affix(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("removeprefix", arguments, {"affix"}, 1));
  if (!bound[0]->is(Kind::string)) {
    return runtime_error(
        fmt::format("removeprefix() argument must be str, not {}", type_name(*bound[0])));
  }
  const std::string_view text = self.text().bytes;
  const std::string_view affix = bound[0]->text().bytes;
  in.budget().spend_bytes(affix.size());
  if (prefix && text.starts_with(affix)) return substring(in, self, affix.size(), text.size());
  if (!prefix && text.ends_with(affix)) {
    return substring(in, self, 0, text.size() - affix.size());
  }
  return self;
}

Result<Value> expandtabs(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("expandtabs", arguments, {"tabsize"}, 0));
  OLLM_TRY(const std::int64_t tab_size, bound.whole(0, 8));
  const MarkedText& text = self.text();
  TextBuilder out = in.heap().builder();
  std::int64_t column = 0;
  for (std::size_t i = 0; i < text.bytes.size();) {
    if (!in.budget().spend(1)) break;
    const CodePoint c = decode_at(text.bytes, i);
    if (c.value == '\t') {
      const std::int64_t spaces = tab_size > 0 ? tab_size - column % tab_size : 0;
      out.append_repeated(" ", static_cast<std::size_t>(spaces));
      column += spaces;
    } else {
      out.append(text, i, i + c.size);
      column = c.value == '\n' || c.value == '\r' ? 0 : column + 1;
    }
    i += c.size;
  }
  return in.heap().string(std::move(out), is_markup(self));
}

Result<Value> splitlines(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("splitlines", arguments, {"keepends"}, 0));
  return in.heap().list(lines_of(in, self, bound.flag(0, false)));
}

Result<Value> format_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  return brace_format(in, self, arguments);
}

Result<Value> format_map(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("format_map", arguments, {"mapping"}, 1));
  return brace_format_map(in, self, *bound[0]);
}

// The methods that ask something of every character.
template <bool (*holds)(char32_t)>
Result<Value> all_characters(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("str method", arguments, {}, 0));
  const std::string_view text = self.text().bytes;
  in.budget().spend_bytes(text.size() * 4);
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_at(text, i);
    if (!holds(c.value)) return Value(false);
    i += c.size;
  }
  return Value(!text.empty());
}

bool is_alphanumeric(char32_t c) { return is_alpha(c) || is_numeric(c) || is_digit(c); }

Result<Value> isascii(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("isascii", arguments, {}, 0));
  return Value(self.as<StringObject>().is_ascii());
}

Result<Value> isprintable(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("isprintable", arguments, {}, 0));
  if (self.text().bytes.empty()) return Value(true);
  return all_characters<is_printable>(in, self, arguments);
}

Result<Value> isidentifier(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("isidentifier", arguments, {}, 0));
  return Value(is_identifier(self.text().bytes));
}

template <bool upper_case>
Result<Value> is_case(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("str method", arguments, {}, 0));
  const std::string_view text = self.text().bytes;
  in.budget().spend_bytes(text.size() * 4);
  bool cased = false;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_at(text, i);
    if (is_title(c.value) || (upper_case ? is_lower(c.value) : is_upper(c.value))) {
      return Value(false);
    }
    cased |= upper_case ? is_upper(c.value) : is_lower(c.value);
    i += c.size;
  }
  return Value(cased);
}

Result<Value> istitle(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("istitle", arguments, {}, 0));
  const std::string_view text = self.text().bytes;
  in.budget().spend_bytes(text.size() * 4);
  bool cased = false;
  bool after_cased = false;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_at(text, i);
    i += c.size;
    if (is_upper(c.value) || is_title(c.value)) {
      if (after_cased) return Value(false);
      after_cased = cased = true;
    } else if (is_lower(c.value)) {
      if (!after_cased) return Value(false);
      cased = true;
    } else {
      after_cased = false;
    }
  }
  return Value(cased);
}

}  // namespace

FunctionObject::Body string_method(std::string_view name) {
  static const std::unordered_map<std::string_view, FunctionObject::Body> kMethods = {
      {"upper", &case_method<CaseForm::upper>},
      {"lower", &case_method<CaseForm::lower>},
      {"capitalize", &case_method<CaseForm::capitalize>},
      {"title", &case_method<CaseForm::title>},
      {"swapcase", &case_method<CaseForm::swap>},
      {"casefold", &case_method<CaseForm::fold>},
      {"strip", &strip_method<true, true>},
      {"lstrip", &strip_method<true, false>},
      {"rstrip", &strip_method<false, true>},
      {"center", &justify_method<'^'>},
      {"ljust", &justify_method<'<'>},
      {"rjust", &justify_method<'>'>},
      {"zfill", &zfill},
      {"replace", &replace},
      {"join", &join},
      {"removeprefix", &remove_affix<true>},
      {"removesuffix", &remove_affix<false>},
      {"expandtabs", &expandtabs},
      {"splitlines", &splitlines},
      {"format", &format_method},
      {"format_map", &format_map},
      {"isalpha", &all_characters<is_alpha>},
      {"isalnum", &all_characters<is_alphanumeric>},
      {"isdecimal", &all_characters<is_decimal>},
      {"isdigit", &all_characters<is_digit>},
      {"isnumeric", &all_characters<is_numeric>},
      {"isspace", &all_characters<is_space>},
      {"isprintable", &isprintable},
      {"isascii", &isascii},
      {"isidentifier", &isidentifier},
      {"islower", &is_case<false>},
      {"isupper", &is_case<true>},
      {"istitle", &istitle},
      {"encode", &encode_text},
      {"translate", &translate},
      {"maketrans", &maketrans},
  };
  const auto found = kMethods.find(name);
  return found != kMethods.end() ? found->second : search_method(name);
}

Value with_case(Interpreter& in, const Value& text, CaseForm form) {
  const MarkedText& source = text.text();
  in.budget().spend_bytes(source.bytes.size() * 16);
  LiteralCursor cursor(source);
  TextBuilder out = in.heap().builder();
  std::string mapped;
  bool first = true;
  bool after_cased = false;
  for (std::size_t i = 0; i < source.bytes.size();) {
    const CodePoint c = decode_at(source.bytes, i);
    mapped.clear();
    switch (form) {
      case CaseForm::upper:
        append_upper(mapped, c.value);
        break;
      case CaseForm::lower:
        append_lower(mapped, source.bytes, i, c.value);
        break;
      case CaseForm::fold:
        append_casefold(mapped, c.value);
        break;
      case CaseForm::swap:
        if (is_upper(c.value)) {
          append_lower(mapped, source.bytes, i, c.value);
        } else if (is_lower(c.value)) {
          append_upper(mapped, c.value);
        } else {
          append_utf8(mapped, c.value);
        }
        break;
      case CaseForm::capitalize:
      case CaseForm::title:
        if (form == CaseForm::title ? !after_cased : first) {
          append_title(mapped, c.value);
        } else {
          append_lower(mapped, source.bytes, i, c.value);
        }
        after_cased = is_cased(c.value);
        break;
    }
    first = false;
    out.append(mapped, cursor.at(i));
    i += c.size;
  }
  return in.heap().string(std::move(out), is_markup(text));
}

Value stripped(Interpreter& in, const Value& text, const Value* characters, bool left, bool right) {
  const std::string_view bytes = text.text().bytes;
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  const std::size_t cost = characters == nullptr ? 1 : 1 + characters->text().bytes.size() / 8;
  while (left && begin < end) {
    const CodePoint c = decode_at(bytes, begin);
    if (!strips(c.value, characters) || !in.budget().spend(cost)) break;
    begin += c.size;
  }
  while (right && end > begin) {
    const CodePoint c = decode_before(bytes, end);
    if (!strips(c.value, characters) || !in.budget().spend(cost)) break;
    end -= c.size;
  }
  return substring(in, text, begin, end);
}

Value substring(Interpreter& in, const Value& text, std::size_t begin, std::size_t end) {
  if (begin == 0 && end == text.text().bytes.size()) return text;
  TextBuilder out = in.heap().builder();
  out.append(text.text(), begin, end);
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out), is_markup(text));
}

Value replaced(Interpreter& in, const Value& text, const MarkedText& from, const MarkedText& to,
               std::int64_t count) {
  const MarkedText& source = text.text();
  in.budget().spend_bytes(source.bytes.size());
  TextBuilder out = in.heap().builder();
  std::size_t at = 0;
  while (count != 0 && at <= source.bytes.size() && !out.overflowed()) {
    if (from.bytes.empty()) {  // between all characters, and at both ends
      if (!in.budget().spend(1)) break;
      out.append(to);
      --count;
      const CodePoint c = decode_at(source.bytes, at);
      if (c.size == 0) {
        at = source.bytes.size() + 1;
        break;
      }
      out.append(source, at, at + c.size);
      at += c.size;
      continue;
    }
    const std::size_t found = find_text(source.bytes, from.bytes, at);
    if (found == std::string::npos || !in.budget().spend(1)) break;
    out.append(source, at, found);
    out.append(to);
    at = found + from.bytes.size();
    --count;
  }
  out.append(source, std::min(at, source.bytes.size()), source.bytes.size());
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out), is_markup(text));
}

std::vector<Value> lines_of(Interpreter& in, const Value& text, bool keep_ends) {
  const std::string_view bytes = text.text().bytes;
  in.budget().spend_bytes(bytes.size());
  std::vector<Value> lines;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < bytes.size();) {
    const CodePoint c = decode_at(bytes, i);
    if (!is_line_break(c.value)) {
      i += c.size;
      continue;
    }
    if (!in.budget().spend(1)) return lines;
    std::size_t next = i + c.size;
    if (c.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
    lines.push_back(substring(in, text, begin, keep_ends ? next : i));
    begin = i = next;
  }
  if (begin < bytes.size()) lines.push_back(substring(in, text, begin, bytes.size()));
  return lines;
}

Value justified(Interpreter& in, const Value& text, std::int64_t width, std::string_view fill,
                char align) {
  const auto size = static_cast<std::int64_t>(text.as<StringObject>().code_points);
  if (width <= size) return text;
  const auto missing = static_cast<std::size_t>(width - size);
  // str.center puts the odd space on the left where the width is odd.
  const std::size_t center = missing / 2 + (missing & static_cast<std::size_t>(width) & 1);
  const std::size_t before = align == '>' ? missing : align == '^' ? center : 0;
  TextBuilder out = in.heap().builder();
  out.append_repeated(fill, before);
  out.append(text.text());
  out.append_repeated(fill, missing - before);
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out), is_markup(text));
}

}  // namespace ollm::text::jinja
