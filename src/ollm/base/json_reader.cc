#include "ollm/base/json_reader.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/text_size.h"

namespace ollm {
namespace {

// Builds values from the pieces of a JsonCursor. Recursive, but never deeper than limits.depth.
class JsonBuilder {
 public:
  JsonBuilder(std::string& text, const JsonLimits& limits) : cursor_(text), limits_(limits) {}

  Result<Json> document() {
    OLLM_TRY(Json value, this->value(0));
    if (cursor_.peek() != '\0') return cursor_.expected("the end of the document");
    return value;
  }
  std::size_t position() const { return cursor_.position(); }
  /// The key of the outermost object that was read last.
  const std::string& member() const { return member_; }

 private:
  Result<Json> value(std::size_t depth) {
    const char next = cursor_.peek();
    if (cursor_.word("NaN")) return Json(std::numeric_limits<double>::quiet_NaN());
    if (cursor_.word("Infinity")) return Json(std::numeric_limits<double>::infinity());
    if (cursor_.word("-Infinity")) return Json(-std::numeric_limits<double>::infinity());
    switch (next) {
      case '{':
        return object(depth);
      case '[':
        return list(depth);
      case '"': {
        OLLM_TRY(const std::string_view text, cursor_.string("a text"));
        return Json(std::string(text));
      }
      default:
        if (next == '-' || (next >= '0' && next <= '9')) return number();
    }
    if (cursor_.word("true")) return Json(true);
    if (cursor_.word("false")) return Json(false);
    if (cursor_.word("null")) return Json(nullptr);
    return cursor_.expected("a value");
  }

  Result<Json> number() {
    const std::size_t begin = cursor_.position();
    OLLM_TRY(const std::string_view digits, cursor_.number());
    const char* from = digits.data();
    const char* to = from + digits.size();
    std::int64_t whole = 0;
    if (const auto got = std::from_chars(from, to, whole); got.ec == std::errc() && got.ptr == to)
      return Json(whole);
    std::uint64_t large = 0;
    if (const auto got = std::from_chars(from, to, large); got.ec == std::errc() && got.ptr == to)
      return Json(large);
    double real = 0;
    if (const auto got = std::from_chars(from, to, real); got.ec == std::errc() && got.ptr == to)
      return Json(real);
    return fail(ErrorKind::corrupt, fmt::format("byte {}: the number {} is out of the range of f64",
                                                begin, quote_name(digits)));
  }

  Result<Json> list(std::size_t depth) {
    OLLM_TRY_VOID(check_depth(depth));
    OLLM_TRY_VOID(cursor_.expect('[', "a list"));
    Json out = Json::array();
    for (bool first = true;; first = false) {
      OLLM_TRY(const bool another, cursor_.more(']', first));
      if (!another) return out;
      OLLM_TRY(Json item, value(depth + 1));
      out.push_back(std::move(item));
    }
  }

  Result<Json> object(std::size_t depth) {
    OLLM_TRY_VOID(check_depth(depth));
    OLLM_TRY_VOID(cursor_.expect('{', "an object"));
    Json out = Json::object();
    auto& members = out.get_ref<Json::object_t&>();
    std::unordered_set<std::string_view> keys;  // into the text, where they were decoded
    for (bool first = true;; first = false) {
      OLLM_TRY(const bool another, cursor_.more('}', first));
      if (depth == 0) member_.clear();
      if (!another) return out;
      cursor_.peek();
      const std::size_t begin = cursor_.position();
      OLLM_TRY(const std::string_view key, cursor_.key());
      if (depth == 0) member_ = key;
      if (!keys.insert(key).second)
        return fail(ErrorKind::corrupt,
                    fmt::format("byte {}: duplicate key {}", begin, quote_name(key)));
      if (keys.size() > limits_.keys_per_object)
        return fail(ErrorKind::unsupported,
                    fmt::format("byte {}: an object of more than {} keys", cursor_.position(),
                                limits_.keys_per_object));
      OLLM_TRY(Json item, value(depth + 1));
      // Past the object's own search for the key, which would take quadratic time.
      members.emplace_back(std::string(key), std::move(item));
    }
  }

  Result<void> check_depth(std::size_t depth) const {
    if (depth < limits_.depth) return {};
    return fail(ErrorKind::unsupported,
                fmt::format("byte {}: nested deeper than {}", cursor_.position(), limits_.depth));
  }

  JsonCursor cursor_;
  const JsonLimits& limits_;
  std::string member_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view file_name, const JsonLimits& limits,
                        std::string* member) {
  if (member != nullptr) member->clear();
  if (text.size() > limits.size_bytes)
    return fail(ErrorKind::unsupported,
                fmt::format("{}: has {}, the limit is {}", file_name, format_bytes(text.size()),
                            format_bytes(limits.size_bytes)));
  if (auto utf8 = check_utf8(text); !utf8.ok()) return std::move(utf8).error().within(file_name);
  std::string copy(text);  // strings are decoded in it
  blank_byte_order_mark(copy);
  JsonBuilder builder(copy, limits);
  auto document = builder.document();
  if (document.ok() && builder.position() != copy.size())
    document = fail(ErrorKind::corrupt, fmt::format("byte {}: expected the end of the document, "
                                                    "found the byte 0x00",
                                                    builder.position()));
  if (!document.ok()) {
    if (member != nullptr) *member = builder.member();
    return std::move(document).error().within(file_name);
  }
  return document;
}

namespace {

// Not finite: as the file has it.
std::string describe_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return fmt::format("{}", value);
}

}  // namespace

std::string describe(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    case Json::value_t::number_integer:
      return fmt::format("{}", value.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      return fmt::format("{}", value.get<std::uint64_t>());
    case Json::value_t::number_float:
      return describe_number(value.get<double>());
    case Json::value_t::string:
      return fmt::format("the text {}", quote_name(value.get_ref<const std::string&>()));
    case Json::value_t::array:
      return fmt::format("a list of {}", value.size());
    case Json::value_t::object:
      return "an object";
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  return "no value";
}

}  // namespace ollm
