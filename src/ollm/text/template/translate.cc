#include "ollm/text/template/translate.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "ollm/text/template/characters.h"
#include "ollm/text/template/operators.h"

namespace ollm::text::jinja {
namespace {

// table[number], or nothing where Python has a LookupError. Errors: where it has another.
Result<std::optional<Value>> looked_up(Interpreter& in, const Value& table, char32_t number) {
  const auto index = static_cast<std::size_t>(number);
  switch (table.kind()) {
    case Kind::dict: {
      const Value* found =
          table.as<DictObject>().find(Value(static_cast<std::int64_t>(number)), &in.budget());
      return found != nullptr ? std::optional(*found) : std::nullopt;
    }
    case Kind::list:
    case Kind::tuple:
      return index < table.items().size() ? std::optional(table.items()[index]) : std::nullopt;
    case Kind::range: {
      const auto& range = table.as<RangeObject>();
      return index < range.length ? std::optional(Value(range.at(index))) : std::nullopt;
    }
    case Kind::bytes: {
      const std::string& bytes = table.as<BytesObject>().data.bytes;
      if (index >= bytes.size()) return std::optional<Value>();
      return std::optional(Value(std::int64_t{static_cast<unsigned char>(bytes[index])}));
    }
    case Kind::string: {
      const auto& text = table.as<StringObject>();
      if (index >= text.code_points) return std::optional<Value>();
      in.budget().spend_bytes(index);
      const std::size_t begin = byte_offset_of(text.text.bytes, index);
      TextBuilder out = in.heap().builder();
      out.append(text.text, begin, begin + decode_at(text.text.bytes, begin).size);
      return std::optional(in.heap().string(std::move(out)));
    }
    case Kind::undefined:
      return undefined_error(table);
    default:
      return runtime_error(fmt::format("'{}' object is not subscriptable", type_name(table)));
  }
}

std::string_view text_of(const Value& value) { return value.text().bytes; }

Result<Value> table_from_dict(Interpreter& in, const Value& given) {
  if (!given.is(Kind::dict))
    return runtime_error("if you give only one argument to maketrans it must be a dict");
  auto table = std::make_shared<DictObject>();
  for (const auto& [key, value] : given.as<DictObject>().items) {
    if (!in.budget().spend(1)) break;
    if (key.is(Kind::string)) {
      if (key.as<StringObject>().code_points != 1)
        return runtime_error("string keys in translate table must be of length 1");
      table->set(Value(static_cast<std::int64_t>(decode_at(text_of(key), 0).value)), value,
                 &in.budget());
    } else if (key.is(Kind::integer) || key.is(Kind::boolean) || key.is(Kind::wide_integer)) {
      table->set(key, value, &in.budget());
    } else {
      return runtime_error("keys in translate table must be strings or integers");
    }
  }
  return in.heap().dict(std::move(table));
}

}  // namespace

Result<Value> translate(Interpreter& in, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty() || arguments.positional.size() != 1)
    return runtime_error("str.translate() takes exactly one argument");
  const Value& table = arguments.positional[0];
  const MarkedText& text = self.text();
  in.budget().spend_bytes(text.bytes.size() * 8);
  LiteralCursor cursor(text);
  TextBuilder out = in.heap().builder();
  std::string piece;
  for (std::size_t i = 0; i < text.bytes.size() && !out.overflowed();) {
    if (!in.budget().spend(1)) break;
    const CodePoint c = decode_at(text.bytes, i);
    const std::size_t begin = i;
    i += c.size;
    OLLM_TRY(const std::optional<Value> found, looked_up(in, table, c.value));
    if (!found) {
      out.append(text, begin, i);
    } else if (found->is(Kind::string)) {
      if (cursor.at(begin)) {
        out.append(found->text().bytes, true);
      } else {
        out.append(found->text());
      }
    } else if (found->is(Kind::integer) || found->is(Kind::boolean)) {
      OLLM_TRY(const std::int64_t number, as_index(*found));
      if (number < 0 || number >= 0x110000)
        return runtime_error("character mapping must be in range(0x110000)");
      if (number >= 0xD800 && number <= 0xDFFF)
        return fail(ErrorKind::unsupported, "a character mapped to a surrogate is not built");
      piece.clear();
      append_utf8(piece, static_cast<char32_t>(number));
      out.append(piece, cursor.at(begin));
    } else if (!found->is(Kind::none)) {
      return runtime_error("character mapping must return integer, None or str");
    }
  }
  return in.heap().string(std::move(out), self.as<StringObject>().markup);
}

Result<Value> maketrans(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (!arguments.named.empty() || given.empty() || given.size() > 3)
    return runtime_error(
        fmt::format("maketrans expected 1 to 3 arguments by position, got {}", given.size()));
  if (given.size() == 1) return table_from_dict(in, given[0]);
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!given[i].is(Kind::string))
      return runtime_error(
          fmt::format("maketrans() argument {} must be str, not {}", i + 1, type_name(given[i])));
  }
  if (given[0].as<StringObject>().code_points != given[1].as<StringObject>().code_points)
    return runtime_error("the first two maketrans arguments must have equal length");
  auto table = std::make_shared<DictObject>();
  const auto number_at = [](const Value& text, std::size_t& at) {
    const CodePoint c = decode_at(text_of(text), at);
    at += c.size;
    return Value(static_cast<std::int64_t>(c.value));
  };
  for (std::size_t from = 0, to = 0; from < text_of(given[0]).size();) {
    if (!in.budget().spend(1)) break;
    const Value key = number_at(given[0], from);
    table->set(key, number_at(given[1], to), &in.budget());
  }
  for (std::size_t at = 0; given.size() == 3 && at < text_of(given[2]).size();) {
    if (!in.budget().spend(1)) break;
    table->set(number_at(given[2], at), Value(), &in.budget());
  }
  return in.heap().dict(std::move(table));
}

}  // namespace ollm::text::jinja
