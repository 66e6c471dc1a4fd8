#include "ollm/text/template/bytes_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <utility>

#include "ollm/base/utf8.h"
#include "ollm/text/template/arguments.h"
#include "ollm/text/template/characters.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/string_methods.h"
#include "ollm/text/utf8.h"

namespace ollm::text::jinja {
namespace {

enum class Codec {
  utf8,
  utf8_sig,
  ascii,
  latin1,
  utf16,
  utf16_le,
  utf16_be,
  utf32,
  utf32_le,
  utf32_be
};

// Python's aliases, in the form that its normalize_encoding brings names to.
Result<Codec> codec_named(std::string_view given) {
  static const std::unordered_map<std::string_view, Codec> kNames = {
      {"utf_8", Codec::utf8},
      {"utf8", Codec::utf8},
      {"u8", Codec::utf8},
      {"utf", Codec::utf8},
      {"cp65001", Codec::utf8},
      {"utf8_ucs2", Codec::utf8},
      {"utf8_ucs4", Codec::utf8},
      {"utf_8_sig", Codec::utf8_sig},
      {"ascii", Codec::ascii},
      {"us_ascii", Codec::ascii},
      {"us", Codec::ascii},
      {"646", Codec::ascii},
      {"iso646_us", Codec::ascii},
      {"cp367", Codec::ascii},
      {"latin_1", Codec::latin1},
      {"latin1", Codec::latin1},
      {"latin", Codec::latin1},
      {"l1", Codec::latin1},
      {"iso8859_1", Codec::latin1},
      {"iso_8859_1", Codec::latin1},
      {"8859", Codec::latin1},
      {"iso8859", Codec::latin1},
      {"cp819", Codec::latin1},
      {"utf_16", Codec::utf16},
      {"utf16", Codec::utf16},
      {"u16", Codec::utf16},
      {"utf_16_le", Codec::utf16_le},
      {"utf_16le", Codec::utf16_le},
      {"utf_16_be", Codec::utf16_be},
      {"utf_16be", Codec::utf16_be},
      {"utf_32", Codec::utf32},
      {"utf32", Codec::utf32},
      {"u32", Codec::utf32},
      {"utf_32_le", Codec::utf32_le},
      {"utf_32le", Codec::utf32_le},
      {"utf_32_be", Codec::utf32_be},
      {"utf_32be", Codec::utf32_be},
  };
  std::string name;
  for (const char c : given) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.';
    if (plain) {
      name += c;
    } else if (c >= 'A' && c <= 'Z') {
      name += static_cast<char>(c + ('a' - 'A'));
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  const auto found = kNames.find(name);
  if (found != kNames.end()) return found->second;
  return fail(
      ErrorKind::unsupported,
      fmt::format("the encoding '{}' is not built: utf-8, ascii, latin-1, utf-16 and utf-32 "
                  "are",
                  std::string_view(name).substr(0, 40)));
}

void append_unit(std::string& out, std::uint32_t unit, std::size_t size, bool big_endian) {
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t shift = 8 * (big_endian ? size - 1 - i : i);
    out += static_cast<char>(unit >> shift & 0xFF);
  }
}

void append_utf16(std::string& out, char32_t c, bool big_endian) {
  if (c < 0x10000) return append_unit(out, c, 2, big_endian);
  append_unit(out, 0xD800 + ((c - 0x10000) >> 10), 2, big_endian);
  append_unit(out, 0xDC00 + ((c - 0x10000) & 0x3FF), 2, big_endian);
}

std::string backslashed(char32_t c) {
  const auto value = static_cast<std::uint32_t>(c);
  if (value < 0x100) return fmt::format("\\x{:02x}", value);
  return value < 0x10000 ? fmt::format("\\u{:04x}", value) : fmt::format("\\U{:08x}", value);
}

// What stands for a character that the encoding lacks, by the name of Python's error handler.
Result<void> append_replacement(std::string& out, char32_t c, std::string_view handler,
                                std::string_view codec) {
  if (handler == "ignore") return {};
  if (handler == "replace") {
    out += '?';
  } else if (handler == "xmlcharrefreplace") {
    out += fmt::format("&#{};", static_cast<std::uint32_t>(c));
  } else if (handler == "backslashreplace") {
    out += backslashed(c);
  } else if (handler == "namereplace") {
    return fail(ErrorKind::unsupported, "the error handler 'namereplace' is not built");
  } else if (handler == "strict" || handler == "surrogateescape" || handler == "surrogatepass") {
    return runtime_error(
        fmt::format("'{}' codec can't encode character '{}'", codec, backslashed(c)));
  } else {
    return runtime_error(fmt::format("unknown error handler name {}", handler.substr(0, 40)));
  }
  return {};
}

// The names of encoding and error handler; both may be left out.
Result<std::pair<Codec, std::string_view>> codec_arguments(const Arguments& arguments,
                                                           std::string_view function) {
  OLLM_TRY(const BoundArguments bound, bind(function, arguments, {"encoding", "errors"}, 0));
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    if (bound.has(i) && !bound[i]->is(Kind::string)) {
      return runtime_error(fmt::format("{}() argument {} must be str, not {}", function, i + 1,
                                       type_name(*bound[i])));
    }
  }
  Codec codec = Codec::utf8;
  if (bound.has(0)) {
    OLLM_TRY(codec, codec_named(bound[0]->text().bytes));
  }
  return std::pair(codec, bound.has(1) ? std::string_view(bound[1]->text().bytes) : "strict");
}

std::uint32_t unit_at(std::string_view bytes, std::size_t at, std::size_t size, bool big_endian) {
  std::uint32_t unit = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t shift = 8 * (big_endian ? size - 1 - i : i);
    unit |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << shift;
  }
  return unit;
}

// The character that begins at a byte, or how many bytes are none.
struct Decoded {
  char32_t value = 0;
  std::size_t size = 1;
  bool valid = false;
};

Decoded decode_unit(Codec codec, std::string_view bytes, std::size_t at) {
  const std::size_t left = bytes.size() - at;
  const auto byte = static_cast<unsigned char>(bytes[at]);
  switch (codec) {
    case Codec::ascii:
      return {byte, 1, byte < 0x80};
    case Codec::latin1:
      return {byte, 1, true};
    case Codec::utf8:
    case Codec::utf8_sig: {
      const Utf8Scan scan = scan_utf8(bytes.substr(at, 4));
      if (scan.start != Utf8Start::whole) return {0, scan.length, false};
      return {decode_at(bytes, at).value, scan.length, true};
    }
    case Codec::utf16:
    case Codec::utf16_le:
    case Codec::utf16_be: {
      const bool big = codec == Codec::utf16_be;
      if (left < 2) return {0, left, false};
      const std::uint32_t first = unit_at(bytes, at, 2, big);
      if (first < 0xD800 || first > 0xDFFF) return {first, 2, true};
      if (first > 0xDBFF) return {0, 2, false};
      if (left < 4) return {0, left, false};
      const std::uint32_t second = unit_at(bytes, at + 2, 2, big);
      if (second < 0xDC00 || second > 0xDFFF) return {0, 2, false};
      return {0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00), 4, true};
    }
    case Codec::utf32:
    case Codec::utf32_le:
    case Codec::utf32_be: {
      if (left < 4) return {0, left, false};
      const std::uint32_t value = unit_at(bytes, at, 4, codec == Codec::utf32_be);
      const bool valid = value < 0xD800 || (value > 0xDFFF && value < 0x110000);
      return {value, 4, valid};
    }
  }
  return {};
}

// Takes a mark of the byte order off, which says how to read on.
Codec without_mark(Codec codec, std::string_view bytes, std::size_t& at) {
  const auto begins = [&](std::string_view mark) { return bytes.starts_with(mark); };
  if (codec == Codec::utf8_sig && begins("\xEF\xBB\xBF")) at = 3;
  if (codec == Codec::utf16 && (begins("\xFF\xFE") || begins("\xFE\xFF"))) {
    at = 2;
    return begins("\xFF\xFE") ? Codec::utf16_le : Codec::utf16_be;
  }
  const std::string_view little("\xFF\xFE\0\0", 4);
  const std::string_view big("\0\0\xFE\xFF", 4);
  if (codec == Codec::utf32 && (begins(little) || begins(big))) {
    at = 4;
    return begins(little) ? Codec::utf32_le : Codec::utf32_be;
  }
  return codec;
}

const MarkedText& data_of(const Value& bytes) { return bytes.as<BytesObject>().data; }

Result<Value> decode(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const auto given, codec_arguments(arguments, "decode"));
  const MarkedText& data = data_of(self);
  in.budget().spend_bytes(data.bytes.size() * 16);
  const std::string_view handler = given.second;
  std::size_t at = 0;
  const Codec codec = without_mark(given.first, data.bytes, at);
  LiteralCursor cursor(data);
  TextBuilder out = in.heap().builder();
  std::string piece;
  while (at < data.bytes.size() && !out.overflowed()) {
    const Decoded c = decode_unit(codec, data.bytes, at);
    piece.clear();
    if (c.valid) {
      append_utf8(piece, c.value);
    } else if (handler == "replace") {
      piece = unicode::kReplacementUtf8;
    } else if (handler == "backslashreplace") {
      for (std::size_t i = 0; i < c.size; ++i)
        piece += backslashed(static_cast<unsigned char>(data.bytes[at + i]));
    } else if (handler == "surrogateescape" || handler == "surrogatepass") {
      return fail(ErrorKind::unsupported,
                  "the error handlers of surrogates are not built: text is UTF-8");
    } else if (handler == "strict") {
      return runtime_error(fmt::format("can't decode byte 0x{:02x} in position {}",
                                       static_cast<unsigned char>(data.bytes[at]), at));
    } else if (handler != "ignore") {
      return runtime_error(fmt::format("unknown error handler name {}", handler.substr(0, 40)));
    }
    out.append(piece, cursor.at(at));
    at += c.size;
  }
  return in.heap().string(std::move(out));
}

Result<Value> hex(Interpreter& in, const Value& self, const Arguments& arguments) {
  if (!arguments.positional.empty() || !arguments.named.empty()) {
    return fail(ErrorKind::unsupported, "bytes.hex with a separator is not built");
  }
  const MarkedText& data = data_of(self);
  in.budget().spend_bytes(data.bytes.size() * 8);
  LiteralCursor cursor(data);
  TextBuilder out = in.heap().builder();
  for (std::size_t i = 0; i < data.bytes.size() && !out.overflowed(); ++i)
    out.append(fmt::format("{:02x}", static_cast<unsigned char>(data.bytes[i])), cursor.at(i));
  return in.heap().string(std::move(out));
}

Result<Value> fromhex(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("fromhex", arguments, {"string"}, 1));
  if (!bound[0]->is(Kind::string))
    return runtime_error(
        fmt::format("fromhex() argument must be str, not {}", type_name(*bound[0])));
  const MarkedText& text = bound[0]->text();
  in.budget().spend_bytes(text.bytes.size() * 4);
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  TextBuilder out = in.heap().builder();
  for (std::size_t i = 0; i < text.bytes.size(); ++i) {
    if (std::string_view(" \t\n\r\v\f").find(text.bytes[i]) != std::string_view::npos) continue;
    const int high = digit(text.bytes[i]);
    const int low = i + 1 < text.bytes.size() ? digit(text.bytes[i + 1]) : -1;
    if (high < 0 || low < 0)
      return runtime_error(
          fmt::format("non-hexadecimal number found in fromhex() arg at position {}", i));
    const char byte = static_cast<char>(high * 16 + low);
    out.append(std::string_view(&byte, 1), text.any_literal());
    ++i;
  }
  return in.heap().bytes(std::move(out));
}

Result<Value> isascii(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("isascii", arguments, {}, 0));
  const std::string& bytes = data_of(self).bytes;
  in.budget().spend_bytes(bytes.size());
  return Value(std::all_of(bytes.begin(), bytes.end(),
                           [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

// Most methods of bytes are those of str on ASCII. They are run on a text that has a character of
// no class (of the private use area) for each byte that bytes take for none, and what comes out is
// turned back.
constexpr char32_t kPrivate = 0xE000;

// Of the white space of str only these six are that of bytes.
bool stands_for_itself(unsigned char byte) { return byte < 0x1C || (byte >= 0x20 && byte < 0x80); }

Value text_of(Interpreter& in, const MarkedText& data) {
  in.budget().spend_bytes(data.bytes.size() * 8);
  LiteralCursor cursor(data);
  TextBuilder out = in.heap().builder();
  std::string piece;
  for (std::size_t i = 0; i < data.bytes.size() && !out.overflowed(); ++i) {
    const auto byte = static_cast<unsigned char>(data.bytes[i]);
    piece.clear();
    append_utf8(piece, stands_for_itself(byte) ? char32_t{byte} : kPrivate + byte);
    out.append(piece, cursor.at(i));
  }
  return in.heap().string(std::move(out));
}

Value bytes_of(Interpreter& in, const MarkedText& text) {
  in.budget().spend_bytes(text.bytes.size() * 8);
  LiteralCursor cursor(text);
  TextBuilder out = in.heap().builder();
  for (std::size_t i = 0; i < text.bytes.size() && !out.overflowed();) {
    const CodePoint c = decode_at(text.bytes, i);
    const char byte = static_cast<char>(c.value >= kPrivate ? c.value - kPrivate : c.value);
    out.append(std::string_view(&byte, 1), cursor.at(i));
    i += c.size;
  }
  return in.heap().bytes(std::move(out));
}

// An argument as the method of str takes it: bytes as text; text itself is what bytes refuse.
Result<Value> as_text_argument(Interpreter& in, const Value& argument, bool byte_value) {
  if (argument.is(Kind::bytes)) return text_of(in, data_of(argument));
  if (argument.is(Kind::string)) {
    return runtime_error(
        fmt::format("a bytes-like object is required, not '{}'", type_name(argument)));
  }
  if (byte_value && (argument.is(Kind::integer) || argument.is(Kind::boolean))) {
    OLLM_TRY(const std::int64_t value, as_index(argument));
    if (value < 0 || value > 255) return runtime_error("byte must be in range(0, 256)");
    return text_of(in, MarkedText{std::string(1, static_cast<char>(value)), {}});
  }
  if (argument.is(Kind::tuple)) {
    std::vector<Value> items;
    for (const Value& item : argument.items()) {
      if (!in.budget().spend(1)) break;
      OLLM_TRY(Value text, as_text_argument(in, item, false));
      items.push_back(std::move(text));
    }
    return in.heap().tuple(std::move(items));
  }
  return argument;
}

Value as_bytes_result(Interpreter& in, const Value& result) {
  if (result.is(Kind::string)) return bytes_of(in, result.text());
  if (!result.is(Kind::list) && !result.is(Kind::tuple)) return result;
  std::vector<Value> items;
  for (const Value& item : result.items()) {
    if (!in.budget().spend(1)) break;
    items.push_back(as_bytes_result(in, item));
  }
  return in.heap().sequence(result.kind(), std::move(items));
}

constexpr std::array<std::string_view, 35> kLikeStr = {
    "find",       "rfind",        "index",        "rindex",     "count",   "startswith", "endswith",
    "split",      "rsplit",       "partition",    "rpartition", "replace", "strip",      "lstrip",
    "rstrip",     "removeprefix", "removesuffix", "center",     "ljust",   "rjust",      "zfill",
    "expandtabs", "upper",        "lower",        "capitalize", "title",   "swapcase",   "isalpha",
    "isalnum",    "isdigit",      "isspace",      "islower",    "isupper", "istitle",    "join",
};

template <std::size_t which>
Result<Value> like_str(Interpreter& in, const Value& self, const Arguments& arguments) {
  constexpr std::string_view name = kLikeStr[which];
  Arguments as_text;
  if (name == "join" && arguments.positional.size() == 1) {
    OLLM_TRY(const Items items, items_of(in, arguments.positional[0]));
    std::vector<Value> texts;
    for (const Value& item : items) {
      if (!in.budget().spend(1)) break;
      if (!item.is(Kind::bytes))
        return runtime_error(fmt::format("sequence item {}: expected a bytes-like object, {} found",
                                         texts.size(), type_name(item)));
      texts.push_back(text_of(in, data_of(item)));
    }
    as_text.positional.push_back(in.heap().list(std::move(texts)));
  } else {
    constexpr bool takes_byte = which < 5;
    for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
      OLLM_TRY(Value argument, as_text_argument(in, arguments.positional[i], takes_byte && i == 0));
      as_text.positional.push_back(std::move(argument));
    }
    for (const auto& [key, value] : arguments.named) {
      OLLM_TRY(Value argument, as_text_argument(in, value, false));
      as_text.named.emplace_back(key, std::move(argument));
    }
  }
  OLLM_TRY(const Value result, string_method(name)(in, text_of(in, data_of(self)), as_text));
  return as_bytes_result(in, result);
}

template <std::size_t... which>
std::unordered_map<std::string_view, FunctionObject::Body> methods(
    std::index_sequence<which...> /*all*/) {
  return {{kLikeStr[which], &like_str<which>}...,
          {"decode", &decode},
          {"hex", &hex},
          {"fromhex", &fromhex},
          {"isascii", &isascii}};
}

Result<Value> not_built(Interpreter& /*in*/, const Value& /*self*/, const Arguments& /*args*/) {
  return fail(ErrorKind::unsupported, "maketrans, translate and splitlines of bytes are not built");
}

}  // namespace

Result<Value> encode_text(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const auto given, codec_arguments(arguments, "encode"));
  const Codec codec = given.first;
  const MarkedText& text = self.text();
  in.budget().spend_bytes(text.bytes.size() * 8);
  TextBuilder out = in.heap().builder();
  if (codec == Codec::utf8 || codec == Codec::utf8_sig) {
    if (codec == Codec::utf8_sig) out.append("\xEF\xBB\xBF");
    out.append(text);
    return in.heap().bytes(std::move(out));
  }
  if (codec == Codec::utf16) out.append("\xFF\xFE");
  if (codec == Codec::utf32) out.append(std::string_view("\xFF\xFE\0\0", 4));
  LiteralCursor cursor(text);
  std::string piece;
  for (std::size_t i = 0; i < text.bytes.size() && !out.overflowed();) {
    const CodePoint c = decode_at(text.bytes, i);
    piece.clear();
    switch (codec) {
      case Codec::utf16:
      case Codec::utf16_le:
      case Codec::utf16_be:
        append_utf16(piece, c.value, codec == Codec::utf16_be);
        break;
      case Codec::utf32:
      case Codec::utf32_le:
      case Codec::utf32_be:
        append_unit(piece, c.value, 4, codec == Codec::utf32_be);
        break;
      default: {
        const bool is_ascii = codec == Codec::ascii;
        if (c.value < (is_ascii ? 0x80u : 0x100u)) {
          piece += static_cast<char>(c.value);
        } else {
          OLLM_TRY_VOID(
              append_replacement(piece, c.value, given.second, is_ascii ? "ascii" : "latin-1"));
        }
      }
    }
    out.append(piece, cursor.at(i));
    i += c.size;
  }
  return in.heap().bytes(std::move(out));
}

FunctionObject::Body bytes_method(std::string_view name) {
  static const auto kMethods = methods(std::make_index_sequence<kLikeStr.size()>());
  const auto found = kMethods.find(name);
  if (found != kMethods.end()) return found->second;
  return name == "maketrans" || name == "translate" || name == "splitlines" ? &not_built : nullptr;
}

void append_bytes_repr(Interpreter& in, TextBuilder& out, const MarkedText& data) {
  in.budget().spend_bytes(data.bytes.size() * 4);
  const bool single = data.bytes.find('\'') != std::string::npos;
  const char quote = single && data.bytes.find('"') == std::string::npos ? '"' : '\'';
  LiteralCursor cursor(data);
  out.append('b');
  out.append(quote);
  std::string piece;
  for (std::size_t i = 0; i < data.bytes.size() && !out.overflowed(); ++i) {
    const char c = data.bytes[i];
    const auto byte = static_cast<unsigned char>(c);
    piece.clear();
    if (c == quote || c == '\\') {
      piece = {'\\', c};
    } else if (c == '\n') {
      piece = "\\n";
    } else if (c == '\r') {
      piece = "\\r";
    } else if (c == '\t') {
      piece = "\\t";
    } else if (byte < 0x20 || byte >= 0x7F) {
      piece = fmt::format("\\x{:02x}", byte);
    } else {
      piece = c;
    }
    out.append(piece, cursor.at(i));
  }
  out.append(quote);
}

}  // namespace ollm::text::jinja
