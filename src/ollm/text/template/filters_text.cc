// Filters that make text: case, white space, indentation, escapes, tojson, …
// Leaves to others: what Python's str does the same way (string_methods.h).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/characters.h"
#include "ollm/text/template/filters.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"
#include "ollm/text/template/string_methods.h"
#include "ollm/text/template/web_text.h"

namespace ollm::text::jinja {
namespace {

bool is_markup(const Value& text) { return text.as<StringObject>().markup; }

// str(value), which makes safe text ordinary again.
Value plain_str(Interpreter& in, const Value& value) {
  const Value text = str_of(in, value);
  return is_markup(text) ? in.heap().string(text.text(), false) : text;
}

template <CaseForm form>
Result<Value> case_filter(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("filter", arguments, {}, 0));
  return with_case(in, str_of(in, input), form);
}

// Words begin after - ( { [ < and white space; their first letter rises, the others fall.
Result<Value> title(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("title", arguments, {}, 0));
  const Value text = str_of(in, input);
  const MarkedText& source = text.text();
  in.budget().spend_bytes(source.bytes.size() * 16);
  LiteralCursor cursor(source);
  TextBuilder out = in.heap().builder();
  std::string mapped;
  bool begins = true;
  for (std::size_t i = 0; i < source.bytes.size();) {
    const CodePoint c = decode_at(source.bytes, i);
    mapped.clear();
    if (begins) {
      append_upper(mapped, c.value);
    } else {
      append_lower(mapped, source.bytes, i, c.value);
    }
    begins = is_space(c.value) || c.value == '-' || c.value == '(' || c.value == '{' ||
             c.value == '[' || c.value == '<';
    out.append(mapped, cursor.at(i));
    i += c.size;
  }
  return in.heap().string(std::move(out));
}

Result<Value> trim(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("trim", arguments, {"chars"}, 0));
  const Value* characters = bound.given(0);
  if (characters != nullptr && !characters->is(Kind::string)) {
    return runtime_error("strip arg must be None or str");
  }
  return stripped(in, str_of(in, input), characters, true, true);
}

Result<Value> replace(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("replace", arguments, {"old", "new", "count"}, 2));
  std::int64_t count = -1;
  if (bound.given(2) != nullptr) {
    OLLM_TRY(count, as_index(*bound[2]));
  }
  const Value from = str_of(in, *bound[0]);
  const Value to = str_of(in, *bound[1]);
  return replaced(in, plain_str(in, input), from.text(), to.text(), count);
}

Result<Value> string(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("string", arguments, {}, 0));
  return str_of(in, input);
}

Result<Value> safe(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("safe", arguments, {}, 0));
  const Value text = str_of(in, input);
  return is_markup(text) ? text : in.heap().string(text.text(), true);
}

Value escaped(Interpreter& in, const Value& text) {
  in.budget().spend_bytes(text.text().bytes.size() * 4);
  TextBuilder out = in.heap().builder();
  append_escaped(out, text.text());
  return in.heap().string(std::move(out), true);
}

Result<Value> escape(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("escape", arguments, {}, 0));
  const Value text = str_of(in, input);
  return is_markup(text) ? text : escaped(in, text);
}

Result<Value> forceescape(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("forceescape", arguments, {}, 0));
  return escaped(in, str_of(in, input));
}

Result<Value> center(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("center", arguments, {"width"}, 0));
  OLLM_TRY(const std::int64_t width, bound.whole(0, 80));
  return justified(in, str_of(in, input), width, " ", '^');
}

Result<Value> indent(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("indent", arguments, {"width", "first", "blank"}, 0));
  if (input.is(Kind::undefined)) return undefined_error(input);
  if (!input.is(Kind::string)) {
    return runtime_error(
        fmt::format("indent needs text, not a value of type '{}'", type_name(input)));
  }
  TextBuilder indention = in.heap().builder();
  if (bound.has(0) && bound[0]->is(Kind::string)) {
    indention.append(bound[0]->text());
  } else {
    OLLM_TRY(const std::int64_t width, bound.whole(0, 4));
    indention.append_repeated(" ", static_cast<std::size_t>(std::max<std::int64_t>(0, width)));
  }
  const bool blank = bound.flag(2, false);
  std::vector<Value> lines = lines_of(in, input, false);
  // Jinja adds a newline before it cuts, so that a text that ends with one has a last, empty line.
  const std::string_view text = input.text().bytes;
  if (text.empty() || is_line_break(decode_before(text, text.size()).value)) {
    lines.push_back(in.heap().string(""));
  }
  TextBuilder out = in.heap().builder();
  if (bound.flag(1, false)) out.append(indention.text());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!in.budget().spend(1) || out.overflowed()) break;
    if (i > 0) {
      out.append('\n');
      if (blank || !lines[i].text().bytes.empty()) out.append(indention.text());
    }
    out.append(lines[i].text());
  }
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out), is_markup(input));
}

Result<Value> truncate(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound,
           bind("truncate", arguments, {"length", "killwords", "end", "leeway"}, 0));
  OLLM_TRY(const std::int64_t length, bound.whole(0, 255));
  const Value end = bound.has(2) ? str_of(in, *bound[2]) : in.heap().string("...");
  std::int64_t leeway = 5;
  if (bound.given(3) != nullptr) {
    OLLM_TRY(leeway, as_index(*bound[3]));
  }
  const auto end_size = static_cast<std::int64_t>(end.as<StringObject>().code_points);
  if (length < end_size) {
    return runtime_error(fmt::format("expected length >= {}, got {}", end_size, length));
  }
  if (leeway < 0) return runtime_error(fmt::format("expected leeway >= 0, got {}", leeway));
  if (!input.is(Kind::string)) {
    OLLM_TRY(const std::size_t size, length_of(input));
    if (static_cast<std::int64_t>(size) - leeway <= length) return input;
    return runtime_error(
        fmt::format("truncate needs text, not a value of type '{}'", type_name(input)));
  }
  const MarkedText& text = input.text();
  const auto size = static_cast<std::int64_t>(input.as<StringObject>().code_points);
  // Not `length + leeway`, which could leave 64 bits.
  if (size - leeway <= length) return input;
  in.budget().spend_bytes(text.bytes.size());
  std::size_t cut = byte_offset_of(text.bytes, static_cast<std::size_t>(length - end_size));
  if (!bound.flag(1, false)) {
    const std::size_t space = std::string_view(text.bytes).substr(0, cut).rfind(' ');
    if (space != std::string_view::npos) cut = space;
  }
  TextBuilder out = in.heap().builder();
  out.append(text, 0, cut);
  out.append(end.text());
  return in.heap().string(std::move(out), is_markup(input));
}

Result<Value> wordcount(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("wordcount", arguments, {}, 0));
  const Value text = str_of(in, input);
  const std::string_view bytes = text.text().bytes;
  in.budget().spend_bytes(bytes.size() * 8);
  std::size_t words = 0;
  bool in_word = false;
  for (std::size_t i = 0; i < bytes.size();) {
    const CodePoint c = decode_at(bytes, i);
    const bool word = is_word(c.value);
    if (word && !in_word) ++words;
    in_word = word;
    i += c.size;
  }
  return Value::count(words);
}

Result<Value> format(Interpreter& in, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return runtime_error("can't handle positional and keyword arguments at the same time");
  }
  const Value text = str_of(in, input);
  if (arguments.named.empty()) {
    return percent_format(in, text, in.heap().tuple(arguments.positional));
  }
  auto values = std::make_shared<DictObject>();
  for (const auto& [name, value] : arguments.named) {
    values->set(in.heap().string(name), value, &in.budget());
  }
  return percent_format(in, text, in.heap().dict(std::move(values)));
}

Result<Value> tojson(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound,
           bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0));
  JsonStyle style;
  style.ensure_ascii = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (const Value* given = bound.given(1)) {
    if (given->is(Kind::string)) {
      style.indent = given->text().bytes;
    } else {
      OLLM_TRY(const std::int64_t width, as_index(*given));
      // Wider than all memory is as good as any width: the builder stops there.
      style.indent =
          std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(width, 0, 1 << 20)), ' ');
    }
    style.item_separator = std::string(1, ',');  // nothing after it, as a new line comes
  }
  if (const Value* given = bound.given(2)) {
    OLLM_TRY(const Items pair, items_of(in, *given));
    if (pair.size() != 2 || !pair[0].is(Kind::string) || !pair[1].is(Kind::string)) {
      return runtime_error("separators must be a pair of texts");
    }
    style.item_separator = pair[0].text().bytes;
    style.key_separator = pair[1].text().bytes;
  }
  return to_json(in, input, style);
}

template <const std::string_view& name>
Result<Value> not_built(Interpreter& /*in*/, const Value& /*input*/, const Arguments& /*args*/) {
  return fail(ErrorKind::unsupported, fmt::format("the filter '{}' is not built", name));
}

constexpr std::string_view kPprint = "pprint";
constexpr std::string_view kUrlize = "urlize";
constexpr std::string_view kWordwrap = "wordwrap";

Result<Value> striptags(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("striptags", arguments, {}, 0));
  const Value text = str_of(in, input);
  return without_tags(in, text.text());
}

Result<Value> urlencode(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("urlencode", arguments, {}, 0));
  TextBuilder out = in.heap().builder();
  if (input.is(Kind::string) || !is_iterable(input)) {
    append_url_quoted(in, out, str_of(in, input).text(), false);
    return in.heap().string(std::move(out));
  }
  Value pairs = input;
  if (input.is(Kind::dict)) {
    pairs = in.heap().adopt(std::make_shared<DictViewObject>(input, DictViewObject::Part::items), 0,
                            input.depth() + 1);
  }
  OLLM_TRY(const Items items, items_of(in, pairs));
  for (std::size_t i = 0; i < items.size(); ++i) {
    OLLM_TRY(const Items pair, items_of(in, items[i]));
    if (pair.size() != 2) return runtime_error("urlencode needs pairs of key and value");
    if (i > 0) out.append('&');
    append_url_quoted(in, out, str_of(in, pair[0]).text(), true);
    out.append('=');
    append_url_quoted(in, out, str_of(in, pair[1]).text(), true);
  }
  return in.heap().string(std::move(out));
}

Result<Value> xmlattr(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("xmlattr", arguments, {"autospace"}, 0));
  if (!input.is(Kind::dict)) {
    return runtime_error(
        fmt::format("xmlattr needs a dict, not a value of type '{}'", type_name(input)));
  }
  TextBuilder out = in.heap().builder();
  for (const auto& [key, value] : input.as<DictObject>().items) {
    if (!in.budget().spend(1)) break;
    if (value.is(Kind::none) || value.is(Kind::undefined)) continue;
    if (!key.is(Kind::string) ||
        key.text().bytes.find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      TextBuilder shown = in.heap().builder();
      append_repr(in, shown, key);
      return runtime_error(
          fmt::format("Invalid character in attribute name: {}", shown.text().bytes));
    }
    if (out.size() > 0 || bound.flag(0, true)) out.append(' ');
    append_escaped(out, key.text());
    out.append("=\"");
    const Value text = str_of(in, value);
    is_markup(text) ? out.append(text.text()) : append_escaped(out, text.text());
    out.append('"');
  }
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out));
}

constexpr Filter kFilters[] = {
    {"upper", &case_filter<CaseForm::upper>},
    {"lower", &case_filter<CaseForm::lower>},
    {"capitalize", &case_filter<CaseForm::capitalize>},
    {"title", &title},
    {"trim", &trim},
    {"replace", &replace},
    {"string", &string},
    {"safe", &safe},
    {"escape", &escape},
    {"e", &escape},
    {"forceescape", &forceescape},
    {"center", &center},
    {"indent", &indent},
    {"truncate", &truncate},
    {"wordcount", &wordcount},
    {"format", &format},
    {"tojson", &tojson},
    {"pprint", &not_built<kPprint>},
    {"striptags", &striptags},
    {"urlencode", &urlencode},
    {"xmlattr", &xmlattr},
    {"urlize", &not_built<kUrlize>},
    {"wordwrap", &not_built<kWordwrap>},
};

}  // namespace

std::span<const Filter> text_filters() { return kFilters; }

}  // namespace ollm::text::jinja
