// json.dumps, byte for byte: separators, indentation, escapes, sorted keys, keys that are no text.
// Leaves to others: the arguments of the filter `tojson` (filters_text.cc).
#include <fmt/format.h>

#include <cmath>

#include "ollm/text/template/characters.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Interpreter& in, const JsonStyle& style)
      : in_(in), style_(style), out_(in.heap().builder()) {}

  Result<Value> write(const Value& value) {
    OLLM_TRY_VOID(append(value));
    in_.budget().spend_bytes(out_.size());
    return in_.heap().string(std::move(out_));
  }

 private:
  bool stopped() { return !in_.budget().spend(1) || out_.overflowed(); }

  Result<void> append(const Value& value) {
    switch (value.kind()) {
      case Kind::string:
        append_text(value.text());
        return {};
      case Kind::list:
      case Kind::tuple:
        return append_array(value.items());
      case Kind::dict:
        return append_object(value.as<DictObject>());
      default:
        break;
    }
    OLLM_TRY(const std::string scalar, scalar_of(value));
    out_.append(scalar);
    return {};
  }

  Result<std::string> scalar_of(const Value& value) {
    switch (value.kind()) {
      case Kind::none:
        return std::string("null");
      case Kind::boolean:
        return std::string(value.boolean() ? "true" : "false");
      case Kind::integer:
        return fmt::format("{}", value.integer());
      case Kind::wide_integer:
        return fmt::format("{}", value.wide_integer());
      case Kind::real:
        if (std::isnan(value.real())) return std::string("NaN");
        if (std::isinf(value.real()))
          return std::string(value.real() < 0 ? "-Infinity" : "Infinity");
        return real_repr(value.real());
      default:
        return runtime_error(
            fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
  }

  void append_text(const MarkedText& text) {
    out_.append('"');
    LiteralCursor cursor(text);
    std::size_t plain = 0;
    std::string escaped;
    const auto flush_until = [&](std::size_t end) { out_.append(text, plain, end); };
    for (std::size_t i = 0; i < text.bytes.size();) {
      const auto byte = static_cast<unsigned char>(text.bytes[i]);
      if (byte >= 0x20 && byte != '"' && byte != '\\' && (byte < 0x7F || !style_.ensure_ascii)) {
        ++i;
        continue;
      }
      flush_until(i);
      const CodePoint c = decode_at(text.bytes, i);
      escaped.clear();
      append_escape(escaped, c.value);
      out_.append(escaped, cursor.at(i));
      i += c.size;
      plain = i;
    }
    flush_until(text.bytes.size());
    out_.append('"');
  }

  static void append_escape(std::string& out, char32_t c) {
    switch (c) {
      case '"':
        out += "\\\"";
        return;
      case '\\':
        out += "\\\\";
        return;
      case '\n':
        out += "\\n";
        return;
      case '\r':
        out += "\\r";
        return;
      case '\t':
        out += "\\t";
        return;
      case '\b':
        out += "\\b";
        return;
      case '\f':
        out += "\\f";
        return;
      default:
        break;
    }
    if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      return;
    }
    const auto above = static_cast<unsigned>(c - 0x10000);
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (above >> 10), 0xDC00 + (above & 0x3FF));
  }

  void new_line() {
    if (!style_.indent) return;
    out_.append('\n');
    out_.append_repeated(*style_.indent, level_);
  }

  Result<void> append_array(const std::vector<Value>& items) {
    if (items.empty()) {
      out_.append("[]");
      return {};
    }
    out_.append('[');
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (stopped()) return {};
      if (i > 0) out_.append(style_.item_separator);
      new_line();
      OLLM_TRY_VOID(append(items[i]));
    }
    --level_;
    new_line();
    out_.append(']');
    return {};
  }

  Result<void> append_key(const Value& key) {
    if (key.is(Kind::string)) {
      append_text(key.text());
      return {};
    }
    if (!key.is(Kind::none) && !key.is_number()) {
      return runtime_error(
          fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
    OLLM_TRY(const std::string scalar, scalar_of(key));
    out_.append('"');
    out_.append(scalar);
    out_.append('"');
    return {};
  }

  Result<void> append_object(const DictObject& dict) {
    if (dict.items.empty()) {
      out_.append("{}");
      return {};
    }
    std::vector<Value> order;
    if (style_.sort_keys) {
      std::vector<Value> keys;
      for (const auto& [key, value] : dict.items) keys.push_back(key);
      order = keys;
      OLLM_TRY_VOID(sort_by(in_, order, keys, false));
    }
    out_.append('{');
    ++level_;
    for (std::size_t i = 0; i < dict.items.size(); ++i) {
      if (stopped()) return {};
      if (i > 0) out_.append(style_.item_separator);
      new_line();
      const Value& key = style_.sort_keys ? order[i] : dict.items[i].first;
      const Value* value = style_.sort_keys ? dict.find(key, &in_.budget()) : &dict.items[i].second;
      OLLM_TRY_VOID(append_key(key));
      out_.append(style_.key_separator);
      if (value != nullptr) OLLM_TRY_VOID(append(*value));
    }
    --level_;
    new_line();
    out_.append('}');
    return {};
  }

  Interpreter& in_;
  const JsonStyle& style_;
  TextBuilder out_;
  std::size_t level_ = 0;
};

}  // namespace

Result<Value> to_json(Interpreter& in, const Value& value, const JsonStyle& style) {
  return JsonWriter(in, style).write(value);
}

}  // namespace ollm::text::jinja
