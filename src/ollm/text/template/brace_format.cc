// Python's str.format: fields by position and name, attributes and items, conversions, nesting.
// Leaves to others: how a value is set into its field (format_spec.cc).
#include <fmt/format.h>

#include <optional>

#include "ollm/text/template/attributes.h"
#include "ollm/text/template/characters.h"
#include "ollm/text/template/format_spec.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > std::int64_t{1} << 40) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (text.empty()) return std::nullopt;
  return value;
}

Result<FormatSpec> parse_spec(std::string_view text) {
  FormatSpec spec;
  std::size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  const CodePoint first = decode_at(text, 0);
  if (first.size > 0 && first.size < text.size() && is_align(text[first.size])) {
    spec.fill = text.substr(0, first.size);
    spec.align = text[first.size];
    at = first.size + 1;
  } else if (is_align(peek())) {
    spec.align = text[at++];
  }
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec.sign = text[at++];
  if (peek() == '#') {
    spec.alternate = true;
    ++at;
  }
  if (peek() == '0') {
    ++at;
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
  }
  const auto digits = [&]() -> std::optional<std::int64_t> {
    const std::size_t begin = at;
    while (peek() >= '0' && peek() <= '9') ++at;
    return whole_number(text.substr(begin, at - begin));
  };
  if (peek() >= '0' && peek() <= '9') {
    const auto width = digits();
    if (!width) return runtime_error("Too many decimal digits in format string");
    spec.width = static_cast<std::size_t>(*width);
  }
  if (peek() == ',' || peek() == '_') spec.grouping = text[at++];
  if (peek() == '.') {
    ++at;
    const auto precision = digits();
    if (!precision) return runtime_error("Format specifier missing precision");
    spec.precision = static_cast<int>(std::min<std::int64_t>(*precision, 1 << 30));
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) return runtime_error("Invalid format specifier");
  return spec;
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& in, const Value& format, const Arguments& arguments,
                 const Value* mapping)
      : in_(in),
        markup_(format.as<StringObject>().markup),
        arguments_(arguments),
        mapping_(mapping) {}

  // `depth`: replacement fields inside a specification may go one level down, as in Python.
  Result<void> format(TextBuilder& out, const MarkedText& text, int depth) {
    const std::string& bytes = text.bytes;
    for (std::size_t at = 0; at < bytes.size();) {
      if (!in_.budget().spend(1) || out.overflowed()) return {};
      const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
      out.append(text, at, brace);
      at = brace;
      if (at == bytes.size()) break;
      if (at + 1 < bytes.size() && bytes[at + 1] == bytes[at]) {
        out.append(text, at, at + 1);
        at += 2;
        continue;
      }
      if (bytes[at] == '}') return runtime_error("Single '}' encountered in format string");
      const std::size_t begin = at + 1;
      std::size_t open = 1;
      for (++at; at < bytes.size() && open > 0; ++at) {
        if (bytes[at] == '{') ++open;
        if (bytes[at] == '}') --open;
      }
      if (open > 0) {
        return runtime_error(begin == bytes.size() ? "Single '{' encountered in format string"
                                                   : "expected '}' before end of string");
      }
      OLLM_TRY_VOID(field(out, std::string_view(bytes).substr(begin, at - 1 - begin), depth));
    }
    return {};
  }

 private:
  Result<void> field(TextBuilder& out, std::string_view field, int depth) {
    if (depth == 0) return runtime_error("Max string recursion exceeded");
    // name ['!' conversion] [':' spec]; brackets of the name may hold either sign.
    std::size_t name_end = 0;
    bool in_brackets = false;
    while (name_end < field.size()) {
      const char c = field[name_end];
      if (c == '[') in_brackets = true;
      if (c == ']') in_brackets = false;
      if (!in_brackets && (c == '!' || c == ':')) break;
      ++name_end;
    }
    char conversion = 0;
    std::size_t rest = name_end;
    if (rest < field.size() && field[rest] == '!') {
      if (rest + 1 >= field.size()) {
        return runtime_error("end of string while looking for conversion specifier");
      }
      conversion = field[rest + 1];
      rest += 2;
      if (rest < field.size() && field[rest] != ':') {
        return runtime_error("expected ':' after conversion specifier");
      }
    }
    OLLM_TRY(Value value, named(field.substr(0, name_end)));
    if (conversion == 'r' || conversion == 'a') {
      TextBuilder text = in_.heap().builder();
      append_repr(in_, text, value);
      value = in_.heap().string(std::move(text));
    } else if (conversion == 's') {
      value = str_of(in_, value);
    } else if (conversion != 0) {
      return runtime_error(fmt::format("Unknown conversion specifier {}", conversion));
    }
    TextBuilder spec_text = in_.heap().builder();
    if (rest < field.size()) {
      const MarkedText inner{std::string(field.substr(rest + 1)), {}};
      OLLM_TRY_VOID(format(spec_text, inner, depth - 1));
    }
    return append_value(out, value, spec_text.text().bytes);
  }

  Result<Value> named(std::string_view name) {
    const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, first_end);
    Value value;
    const auto index = whole_number(first);
    if (first.empty() || index) {
      const std::size_t position = first.empty() ? automatic_++ : static_cast<std::size_t>(*index);
      if (first.empty() ? manual_ : automatic_ > 0) {
        return runtime_error(
            "cannot switch between manual field specification and automatic field numbering");
      }
      manual_ = manual_ || !first.empty();
      if (position >= arguments_.positional.size()) {
        return runtime_error(
            fmt::format("Replacement index {} out of range for positional args tuple", position));
      }
      value = arguments_.positional[position];
    } else {
      OLLM_TRY(value, by_name(first));
    }
    for (std::size_t at = first_end; at < name.size();) {
      if (!in_.budget().spend(1)) break;
      if (name[at] == '.') {
        const std::size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        OLLM_TRY(value, attribute_of(in_, value, name.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      const std::size_t close = name.find(']', at);
      if (name[at] != '[' || close == std::string_view::npos) {
        return runtime_error("Missing ']' in format string");
      }
      const std::string_view key = name.substr(at + 1, close - at - 1);
      if (key.empty()) return runtime_error("Empty attribute in format string");
      const auto position = whole_number(key);
      OLLM_TRY(value, item_of(in_, value, position ? Value(*position) : in_.heap().string(key)));
      at = close + 1;
    }
    return value;
  }

  Result<Value> by_name(std::string_view name) {
    if (mapping_ != nullptr) {
      if (mapping_->is(Kind::undefined)) return undefined_error(*mapping_);
      const Value* found =
          mapping_->is(Kind::dict) ? mapping_->as<DictObject>().find(name) : nullptr;
      if (found != nullptr) return *found;
    } else {
      const auto found =
          std::find_if(arguments_.named.begin(), arguments_.named.end(),
                       [name](const auto& argument) { return argument.first == name; });
      if (found != arguments_.named.end()) return found->second;
    }
    return runtime_error(fmt::format("KeyError: {}", quoted(name)));
  }

  Result<void> append_value(TextBuilder& out, const Value& value, std::string_view spec_text) {
    if (value.is_number() && !spec_text.empty()) return append_number(out, value, spec_text);
    TextBuilder text = in_.heap().builder();
    append_str(in_, text, value);
    const bool safe = value.is(Kind::string) && value.as<StringObject>().markup;
    if (markup_ && !safe) {
      TextBuilder escaped = in_.heap().builder();
      append_escaped(escaped, text.text());
      text = std::move(escaped);
    }
    if (spec_text.empty()) {
      out.append(text.text());
      return {};
    }
    if (!value.is(Kind::string)) {
      return runtime_error(
          fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
    }
    OLLM_TRY(FormatSpec spec, parse_spec(spec_text));
    if ((spec.type != 0 && spec.type != 's') || spec.sign != 0 || spec.grouping != 0 ||
        spec.alternate) {
      return runtime_error("Invalid format specifier for object of type 'str'");
    }
    if (spec.align == '=') {
      if (spec.fill != "0") {
        return runtime_error("'=' alignment not allowed in string format specifier");
      }
      spec.align = '<';
    }
    append_formatted_text(out, text.text(), spec);
    return {};
  }

  Result<void> append_number(TextBuilder& out, const Value& value, std::string_view spec_text) {
    OLLM_TRY(const FormatSpec spec, parse_spec(spec_text));
    const bool real_type =
        spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
    std::string digits;
    if (value.is(Kind::real) || real_type) {
      OLLM_TRY(digits, format_real(as_real(value), spec));
    } else {
      if (spec.precision >= 0) {
        return runtime_error("Precision not allowed in integer format specifier");
      }
      OLLM_TRY(const std::int64_t whole, as_index(value));
      OLLM_TRY(digits, format_whole(whole, spec));
    }
    append_padded(out, MarkedText{std::move(digits), {}}, spec, '>');
    return {};
  }

  Interpreter& in_;
  bool markup_;
  const Arguments& arguments_;
  const Value* mapping_;  // in the place of arguments, for format_map
  std::size_t automatic_ = 0;
  bool manual_ = false;
};

Result<Value> formatted(Interpreter& in, const Value& format, const Arguments& arguments,
                        const Value* mapping) {
  TextBuilder out = in.heap().builder();
  OLLM_TRY_VOID(BraceFormatter(in, format, arguments, mapping).format(out, format.text(), 2));
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out), format.as<StringObject>().markup);
}

}  // namespace

Result<Value> brace_format(Interpreter& in, const Value& format, const Arguments& arguments) {
  return formatted(in, format, arguments, nullptr);
}

Result<Value> brace_format_map(Interpreter& in, const Value& format, const Value& mapping) {
  return formatted(in, format, {}, &mapping);
}

}  // namespace ollm::text::jinja
