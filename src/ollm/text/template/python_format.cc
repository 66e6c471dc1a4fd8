#include "ollm/text/template/python_format.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "ollm/text/template/bytes_value.h"
#include "ollm/text/template/characters.h"

namespace ollm::text::jinja {
namespace {

// One character as repr shows it inside quotes of the given kind.
void append_repr_character(std::string& out, char32_t c, char quote) {
  if (c == static_cast<char32_t>(quote) || c == '\\') {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (is_printable(c)) {
    append_utf8(out, c);
  } else if (c < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<unsigned>(c));
  }
}

char quote_for(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  return single && text.find('"') == std::string_view::npos ? '"' : '\'';
}

void append_text_repr(Interpreter& in, TextBuilder& out, const MarkedText& text) {
  in.budget().spend_bytes(text.bytes.size() * 4);
  const char quote = quote_for(text.bytes);
  LiteralCursor cursor(text);
  out.append(quote);
  std::string escaped;
  for (std::size_t i = 0; i < text.bytes.size() && !out.overflowed();) {
    const CodePoint c = decode_at(text.bytes, i);
    escaped.clear();
    append_repr_character(escaped, c.value, quote);
    out.append(escaped, cursor.at(i));
    i += c.size;
  }
  out.append(quote);
}

void append_sequence_repr(Interpreter& in, TextBuilder& out, const std::vector<Value>& items,
                          std::string_view open, std::string_view close) {
  out.append(open);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!in.budget().spend(1) || out.overflowed()) return;
    if (i > 0) out.append(", ");
    append_repr(in, out, items[i]);
  }
  out.append(close);
}

void append_dict_repr(Interpreter& in, TextBuilder& out, const DictObject& dict) {
  out.append('{');
  for (std::size_t i = 0; i < dict.items.size(); ++i) {
    if (!in.budget().spend(1) || out.overflowed()) return;
    if (i > 0) out.append(", ");
    append_repr(in, out, dict.items[i].first);
    out.append(": ");
    append_repr(in, out, dict.items[i].second);
  }
  out.append('}');
}

void append_namespace_repr(Interpreter& in, TextBuilder& out, const NamespaceObject& space) {
  out.append("<Namespace {");
  for (std::size_t i = 0; i < space.attributes.size(); ++i) {
    if (!in.budget().spend(1) || out.overflowed()) return;
    if (i > 0) out.append(", ");
    out.append(quoted(space.attributes[i].first));
    out.append(": ");
    const Value& value = space.attributes[i].second;
    // A namespace can hold itself, at any depth: its inside is not shown again.
    if (value.depth() > 0 || value.is(Kind::name_space)) {
      out.append("...");
    } else {
      append_repr(in, out, value);
    }
  }
  out.append("}>");
}

}  // namespace

void append_repr(Interpreter& in, TextBuilder& out, const Value& value) {
  switch (value.kind()) {
    case Kind::string:
      if (value.as<StringObject>().markup) {
        out.append("Markup(");
        append_text_repr(in, out, value.text());
        out.append(')');
      } else {
        append_text_repr(in, out, value.text());
      }
      return;
    case Kind::undefined:
      out.append("Undefined");
      return;
    default:
      append_str(in, out, value);
  }
}

void append_str(Interpreter& in, TextBuilder& out, const Value& value) {
  switch (value.kind()) {
    case Kind::none:
      out.append("None");
      return;
    case Kind::boolean:
      out.append(value.boolean() ? "True" : "False");
      return;
    case Kind::integer:
      out.append(fmt::format_int(value.integer()).c_str());
      return;
    case Kind::wide_integer:
      out.append(fmt::format_int(value.wide_integer()).c_str());
      return;
    case Kind::real:
      out.append(real_repr(value.real()));
      return;
    case Kind::undefined:
      return;
    case Kind::string:
      in.budget().spend_bytes(value.text().bytes.size());
      out.append(value.text());
      return;
    case Kind::bytes:
      append_bytes_repr(in, out, value.as<BytesObject>().data);
      return;
    case Kind::list:
      append_sequence_repr(in, out, value.items(), "[", "]");
      return;
    case Kind::tuple:
      append_sequence_repr(in, out, value.items(), "(", value.items().size() == 1 ? ",)" : ")");
      return;
    case Kind::dict:
      append_dict_repr(in, out, value.as<DictObject>());
      return;
    case Kind::range: {
      const auto& range = value.as<RangeObject>();
      out.append(range.step == 1
                     ? fmt::format("range({}, {})", range.start, range.stop)
                     : fmt::format("range({}, {}, {})", range.start, range.stop, range.step));
      return;
    }
    case Kind::dict_view: {
      const auto& view = value.as<DictViewObject>();
      out.append(type_name(value));
      out.append("([");
      bool first = true;
      for (const auto& [key, item] : view.dict.as<DictObject>().items) {
        if (!in.budget().spend(1) || out.overflowed()) return;
        if (!first) out.append(", ");
        first = false;
        const bool pairs = view.part == DictViewObject::Part::items;
        if (pairs) out.append('(');
        if (view.part != DictViewObject::Part::values) append_repr(in, out, key);
        if (pairs) out.append(", ");
        if (view.part != DictViewObject::Part::keys) append_repr(in, out, item);
        if (pairs) out.append(')');
      }
      out.append("])");
      return;
    }
    case Kind::name_space:
      append_namespace_repr(in, out, value.as<NamespaceObject>());
      return;
    case Kind::generator:
    case Kind::function:
    case Kind::macro:
    case Kind::loop:
    case Kind::cycler:
    case Kind::joiner:
      out.append(value.object()->describe());
      return;
  }
}

Value str_of(Interpreter& in, const Value& value) {
  if (value.is(Kind::string)) return value;
  TextBuilder out = in.heap().builder();
  append_str(in, out, value);
  return in.heap().string(std::move(out));
}

std::string quoted(std::string_view text) {
  const char quote = quote_for(text);
  std::string out(1, quote);
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_at(text, i);
    append_repr_character(out, c.value, quote);
    i += c.size;
  }
  out += quote;
  return out;
}

std::string real_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto [end, error] =
      std::to_chars(std::begin(buffer), std::end(buffer), value, std::chars_format::scientific);
  std::string_view shortest(buffer, static_cast<std::size_t>(end - buffer));
  // [-]d[.ddd]e±dd
  std::string out;
  if (shortest.front() == '-') {
    out = "-";
    shortest.remove_prefix(1);
  }
  const std::size_t e = shortest.find('e');
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);
  int exponent = 0;
  const std::size_t sign_size = shortest[e + 1] == '+' ? 2 : 1;
  std::from_chars(shortest.data() + e + sign_size, shortest.data() + shortest.size(), exponent);
  // Python writes an exponent below 1e-4 and from 1e16 on.
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += '.' + digits.substr(1);
    return out + fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    return out + digits + std::string(whole - digits.size(), '0') + ".0";
  }
  return out + digits.substr(0, whole) + '.' + digits.substr(whole);
}

void append_escaped(TextBuilder& out, const MarkedText& text) {
  LiteralCursor cursor(text);
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.bytes.size(); ++i) {
    std::string_view entity;
    switch (text.bytes[i]) {
      case '&':
        entity = "&amp;";
        break;
      case '<':
        entity = "&lt;";
        break;
      case '>':
        entity = "&gt;";
        break;
      case '"':
        entity = "&#34;";
        break;
      case '\'':
        entity = "&#39;";
        break;
      default:
        continue;
    }
    out.append(text, plain, i);
    out.append(entity, cursor.at(i));
    plain = i + 1;
  }
  out.append(text, plain, text.bytes.size());
}

}  // namespace ollm::text::jinja
