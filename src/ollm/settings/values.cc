// Values of settings: from text, TOML or JSON to the type, form and limits of their field.
// Leaves to others: the table of fields (fields.cc), layers (settings.cc).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "ollm/base/text_form.h"
#include "ollm/base/text_size.h"
#include "ollm/settings/fields.h"

namespace ollm::settings {
namespace {

constexpr std::size_t kShownBytes = 60;  // of a value, in messages

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, kShownBytes)) out += is_control(c) ? '?' : c;
  if (text.size() > kShownBytes) out += "...";
  return out + "'";
}

std::string shown(const SettingsValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return "none";
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) return in_quotes(*text);
  return fmt::format("a list of {}", std::get<std::vector<std::string>>(value).size());
}

Error unexpected(const SettingsField& field, const SettingsValue& found) {
  return fail(ErrorKind::invalid_argument,
              fmt::format("expected {}, found {}", field.expects(), shown(found)));
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> real_number(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> truth(std::string_view text) {
  const std::string word = lower(trimmed(text));
  for (const std::string_view yes : {"true", "1", "yes", "on", "t", "y"})
    if (word == yes) return true;
  for (const std::string_view no : {"false", "0", "no", "off", "f", "n"})
    if (word == no) return false;
  return std::nullopt;
}

bool in_range(const SettingsField& field, double value) {
  return value <= field.max && (field.above_min ? value > field.min : value >= field.min);
}

Result<SettingsValue> parse_boolean(const SettingsField& field, const SettingsValue& value,
                                    bool from_text) {
  if (std::holds_alternative<bool>(value)) return value;
  if (const auto* text = std::get_if<std::string>(&value); text != nullptr && from_text)
    if (const auto parsed = truth(*text)) return SettingsValue(*parsed);
  return unexpected(field, value);
}

Result<SettingsValue> parse_whole(const SettingsField& field, const SettingsValue& value,
                                  bool from_text) {
  std::optional<std::int64_t> whole;
  if (const auto* given = std::get_if<std::int64_t>(&value)) {
    whole = *given;
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    if (field.type == FieldType::integer) {
      if (from_text) whole = whole_number(*text);
    } else {
      auto parsed = field.type == FieldType::bytes ? parse_bytes(trimmed(*text))
                                                   : parse_tokens(trimmed(*text));
      if (parsed.ok() && *parsed <= std::numeric_limits<std::int64_t>::max())
        whole = static_cast<std::int64_t>(*parsed);
    }
  }
  if (!whole || !in_range(field, static_cast<double>(*whole))) return unexpected(field, value);
  return SettingsValue(*whole);
}

Result<SettingsValue> parse_real(const SettingsField& field, const SettingsValue& value,
                                 bool from_text) {
  std::optional<double> real;
  if (const auto* given = std::get_if<double>(&value)) {
    real = *given;
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    real = static_cast<double>(*whole);
  } else if (const auto* text = std::get_if<std::string>(&value); text != nullptr && from_text) {
    real = real_number(*text);
  }
  if (!real || !std::isfinite(*real) || !in_range(field, *real)) return unexpected(field, value);
  return SettingsValue(*real + 0.0);  // -0 becomes 0
}

Result<SettingsValue> parse_text(const SettingsField& field, const SettingsValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || text->empty() || text->size() > SettingsLimits::kTextBytes ||
      std::any_of(text->begin(), text->end(), is_control))
    return unexpected(field, value);
  std::string normal = *text;
  if (field.normalize != nullptr) {
    auto parsed = field.normalize(*text);
    if (!parsed) return unexpected(field, value);
    normal = *std::move(parsed);
  }
  if (field.type == FieldType::choice &&
      std::find(field.choices.begin(), field.choices.end(), normal) == field.choices.end())
    return unexpected(field, value);
  return SettingsValue(std::move(normal));
}

Result<SettingsValue> parse_texts(const SettingsField& field, const SettingsValue& value) {
  std::vector<std::string> list;
  if (const auto* text = std::get_if<std::string>(&value)) {
    list.push_back(*text);
  } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    list = *texts;
  } else {
    return unexpected(field, value);
  }
  if (list.size() > SettingsLimits::kStops) return unexpected(field, value);
  for (const std::string& text : list)
    if (text.empty() || text.size() > SettingsLimits::kStopBytes)
      return unexpected(field, SettingsValue(text));
  return SettingsValue(std::move(list));
}

// The limits of a field behind "from", in the form of its type.
std::string range_text(const SettingsField& field) {
  const auto number = [&](double value) {
    return field.type == FieldType::number ? fmt::format("{}", value)
                                           : fmt::format("{:.0f}", value);
  };
  constexpr double kEndless = 9e18;
  if (field.above_min && field.max >= 1e6) return fmt::format("above {}", number(field.min));
  if (field.above_min)
    return fmt::format("above {} and up to {}", number(field.min), number(field.max));
  if (field.max >= kEndless || (field.type == FieldType::number && field.max >= 1e6))
    return fmt::format("from {}", number(field.min));
  return fmt::format("from {} to {}", number(field.min), number(field.max));
}

// How many characters have to be changed, put in or taken out (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string_view to_string(FieldType type) {
  switch (type) {
    case FieldType::boolean:
      return "yes/no";
    case FieldType::integer:
      return "integer";
    case FieldType::number:
      return "number";
    case FieldType::text:
      return "text";
    case FieldType::path:
      return "path";
    case FieldType::choice:
      return "choice";
    case FieldType::bytes:
      return "size";
    case FieldType::tokens:
      return "tokens";
    case FieldType::texts:
      return "text";
  }
  return "";
}

std::string SettingsField::qualified_name() const { return fmt::format("{}.{}", section, name); }

std::string SettingsField::environment_name() const {
  return upper(fmt::format("OLLM_{}__{}", section, name));
}

std::string SettingsField::default_text() const {
  if (get == nullptr) return "";
  const SettingsValue value = get(Settings{});
  if (std::holds_alternative<std::monostate>(value)) return "auto";
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
    return fmt::format("{}", fmt::join(*texts, ", "));
  return shown(value);
}

std::string SettingsField::expects() const {
  std::string out;
  switch (type) {
    case FieldType::boolean:
      out = "true or false";
      break;
    case FieldType::integer:
      out = fmt::format("an integer {}", range_text(*this));
      break;
    case FieldType::number:
      out = fmt::format("a number {}", range_text(*this));
      break;
    case FieldType::bytes:
      out = "a size such as 4GiB, 512MiB or a number of bytes";
      break;
    case FieldType::tokens:
      out = fmt::format("a number of tokens such as 4096 or 32k, {}", range_text(*this));
      break;
    case FieldType::path:
      out = "a path";
      break;
    case FieldType::choice:
      out = fmt::format("one of {}", fmt::join(choices, ", "));
      break;
    case FieldType::texts:
      out = fmt::format("up to {} texts of 1 to {} bytes", SettingsLimits::kStops,
                        SettingsLimits::kStopBytes);
      break;
    case FieldType::text:
      out = expected.empty() ? "a text" : expected;
      break;
  }
  if (nullable) out += ", or auto";
  return out;
}

Result<SettingsValue> parse_value(const SettingsField& field, const SettingsValue& value,
                                  bool from_text) {
  if (field.nullable) {
    if (std::holds_alternative<std::monostate>(value)) return value;
    if (const auto* text = std::get_if<std::string>(&value))
      if (lower(trimmed(*text)) == "auto") return SettingsValue(std::monostate{});
  }
  switch (field.type) {
    case FieldType::boolean:
      return parse_boolean(field, value, from_text);
    case FieldType::integer:
    case FieldType::bytes:
    case FieldType::tokens:
      return parse_whole(field, value, from_text);
    case FieldType::number:
      return parse_real(field, value, from_text);
    case FieldType::texts:
      return parse_texts(field, value);
    case FieldType::text:
    case FieldType::path:
    case FieldType::choice:
      return parse_text(field, value);
  }
  return unexpected(field, value);
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> names) {
  constexpr std::size_t kMaxNameBytes = 128;  // longer ones are no slips of the hand
  if (name.size() > kMaxNameBytes) return {};
  const std::string wanted = lower(name);
  std::string_view best;
  // A third of the letters may be wrong; beyond that a suggestion misleads.
  std::size_t best_distance = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string_view candidate : names) {
    const std::size_t found = distance(wanted, lower(candidate));
    if (found < best_distance) {
      best = candidate;
      best_distance = found;
    }
  }
  return best;
}

}  // namespace ollm::settings
