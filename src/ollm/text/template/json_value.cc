#include "ollm/text/template/json_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "ollm/text/template/characters.h"

namespace ollm::text::jinja {
namespace {

bool is_plain_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// Charges no memory: the variables are the caller's, and were bounded where they came in.
class Converter {
 public:
  Converter(Interpreter& in, bool literal) : in_(in), literal_(literal) {}

  Value convert(const nlohmann::ordered_json& json, std::size_t depth) {
    if (!in_.budget().spend(1)) return Value();
    if (depth > in_.budget().limits().value_nesting) {
      in_.budget().exceed(
          fmt::format("variables nested more than {} deep", in_.budget().limits().value_nesting));
      return Value();
    }
    switch (json.type()) {
      case nlohmann::ordered_json::value_t::boolean:
        return Value(json.get<bool>());
      case nlohmann::ordered_json::value_t::number_integer:
        return Value(json.get<std::int64_t>());
      case nlohmann::ordered_json::value_t::number_unsigned: {
        const auto number = json.get<std::uint64_t>();
        if (number > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
          return Value::wide(number);
        }
        return Value(static_cast<std::int64_t>(number));
      }
      case nlohmann::ordered_json::value_t::number_float:
        return Value(json.get<double>());
      case nlohmann::ordered_json::value_t::string:
        return text(json.get_ref<const std::string&>(), literal_);
      case nlohmann::ordered_json::value_t::array: {
        std::vector<Value> items;
        items.reserve(json.size());
        for (const auto& item : json) items.push_back(convert(item, depth + 1));
        return heap_.list(std::move(items));
      }
      case nlohmann::ordered_json::value_t::object: {
        auto dict = std::make_shared<DictObject>();
        for (const auto& [key, item] : json.items()) {
          // messages[i].role: the second level inside a conversation is a message.
          const bool is_role = depth == 2 && key == "role" && item.is_string() &&
                               is_plain_word(item.get_ref<const std::string&>());
          dict->set(
              text(key, literal_),
              is_role ? text(item.get_ref<const std::string&>(), false) : convert(item, depth + 1),
              nullptr);
        }
        return heap_.dict(std::move(dict));
      }
      default:
        return Value();
    }
  }

 private:
  Value text(const std::string& bytes, bool literal) {
    in_.budget().grant_for_variables(bytes.size());
    in_.budget().spend_bytes(bytes.size());
    std::string valid = is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
    return heap_.string(literal ? literal_text(std::move(valid))
                                : MarkedText{std::move(valid), {}});
  }

  Interpreter& in_;
  bool literal_;
  Heap heap_{nullptr};
};

}  // namespace

Value value_from_json(Interpreter& in, const nlohmann::ordered_json& json, bool literal) {
  return Converter(in, literal).convert(json, 1);
}

}  // namespace ollm::text::jinja
