// Python's `format % values`: positions, names, widths and precisions from the values.
// Leaves to others: how a number is set into its field (format_spec.cc).
#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "ollm/text/template/characters.h"
#include "ollm/text/template/format_spec.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Interpreter& in, const Value& format, const Value& values)
      : in_(in),
        format_(format.text()),
        markup_(format.as<StringObject>().markup),
        values_(values),
        out_(in.heap().builder()) {}

  Result<Value> run() {
    while (at_ < format_.bytes.size()) {
      if (!in_.budget().spend(1) || out_.overflowed()) break;
      const std::size_t percent = format_.bytes.find('%', at_);
      const std::size_t end = std::min(percent, format_.bytes.size());
      out_.append(format_, at_, end);
      at_ = end;
      if (percent == std::string::npos) break;
      ++at_;
      OLLM_TRY_VOID(conversion());
    }
    if (!all_used()) {
      return runtime_error("not all arguments converted during string formatting");
    }
    in_.budget().spend_bytes(out_.size());
    return in_.heap().string(std::move(out_), markup_);
  }

 private:
  char peek() const { return at_ < format_.bytes.size() ? format_.bytes[at_] : '\0'; }

  // What can be subscripted, other than text and tuples, need not be used: it may be a mapping.
  bool all_used() const {
    switch (values_.kind()) {
      case Kind::tuple:
        return used_ >= values_.items().size() || named_;
      case Kind::dict:
      case Kind::list:
      case Kind::range:
      case Kind::undefined:
        return true;
      default:
        return used_ > 0;
    }
  }

  Result<Value> next_value() {
    if (values_.is(Kind::tuple)) {
      if (used_ < values_.items().size()) return values_.items()[used_++];
    } else if (used_ == 0) {
      ++used_;
      return values_;
    }
    return runtime_error("not enough arguments for format string");
  }

  Result<std::size_t> number(bool* negative) {
    *negative = false;
    if (peek() == '*') {
      ++at_;
      OLLM_TRY(const Value given, next_value());
      OLLM_TRY(const std::int64_t value, as_index(given));
      *negative = value < 0;
      return static_cast<std::size_t>(std::abs(std::max(value, -std::int64_t{1} << 40)));
    }
    std::size_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + static_cast<std::size_t>(peek() - '0');
      if (value > std::size_t{1} << 40) return runtime_error("width too big");
      ++at_;
    }
    return value;
  }

  Result<Value> named_value() {
    const std::size_t close = format_.bytes.find(')', at_);
    if (close == std::string::npos) return runtime_error("incomplete format key");
    if (!values_.is(Kind::dict)) return runtime_error("format requires a mapping");
    const std::string_view name(format_.bytes.data() + at_ + 1, close - at_ - 1);
    at_ = close + 1;
    named_ = true;
    const Value* found = values_.as<DictObject>().find(name);
    if (found == nullptr) return runtime_error(fmt::format("KeyError: {}", quoted(name)));
    return *found;
  }

  Result<void> conversion() {
    FormatSpec spec;
    std::optional<Value> value;
    if (peek() == '(') {
      OLLM_TRY(value, named_value());
    }
    bool zero = false;
    for (;; ++at_) {
      if (peek() == '-') {
        spec.align = '<';
      } else if (peek() == '0') {
        zero = true;
      } else if (peek() == '+') {
        spec.sign = '+';
      } else if (peek() == ' ') {
        if (spec.sign == 0) spec.sign = ' ';
      } else if (peek() == '#') {
        spec.alternate = true;
      } else {
        break;
      }
    }
    bool negative = false;
    OLLM_TRY(spec.width, number(&negative));
    if (negative) spec.align = '<';
    if (peek() == '.') {
      ++at_;
      OLLM_TRY(const std::size_t precision, number(&negative));
      if (precision > kMaxPrecision) {
        return fail(ErrorKind::unsupported,
                    fmt::format("a precision of {}, above {}", precision, kMaxPrecision));
      }
      spec.precision = negative ? 0 : static_cast<int>(precision);
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    if (at_ >= format_.bytes.size()) return runtime_error("incomplete format");
    spec.type = format_.bytes[at_++];
    if (spec.type == '%') {
      out_.append('%');
      return {};
    }
    if (!value) {
      OLLM_TRY(value, next_value());
    }
    if (zero && spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
    return convert(*value, spec);
  }

  Result<void> convert(const Value& value, FormatSpec spec) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        if (spec.fill == "0") {
          spec.fill = " ";
          spec.align = 0;
        }
        TextBuilder text = in_.heap().builder();
        if (spec.type == 's') {
          append_str(in_, text, value);
        } else {
          append_repr(in_, text, value);
        }
        const bool safe = value.is(Kind::string) && value.as<StringObject>().markup;
        if (markup_ && !safe) {
          TextBuilder escaped = in_.heap().builder();
          append_escaped(escaped, text.text());
          text = std::move(escaped);
        }
        if (spec.align == 0) spec.align = '>';
        append_formatted_text(out_, text.text(), spec);
        return {};
      }
      case 'c':
        if (value.is(Kind::string) && value.as<StringObject>().code_points == 1) {
          append_padded(out_, value.text(), spec, '>');
          return {};
        }
        return whole(value, spec);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return whole(value, spec);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        if (!value.is_number()) {
          if (value.is(Kind::undefined)) return undefined_error(value);
          return runtime_error(fmt::format("must be real number, not {}", type_name(value)));
        }
        OLLM_TRY(std::string digits, format_real(as_real(value), spec));
        append_padded(out_, MarkedText{std::move(digits), {}}, spec, '>');
        return {};
      }
      default:
        return runtime_error(fmt::format("unsupported format character '{}'", spec.type));
    }
  }

  Result<void> whole(const Value& value, FormatSpec spec) {
    if (value.is(Kind::undefined)) return undefined_error(value);
    if (!value.is_number()) {
      return runtime_error(fmt::format("%{} format: a real number is required, not {}", spec.type,
                                       type_name(value)));
    }
    std::int64_t number = 0;
    if (value.is(Kind::real)) {
      if (spec.type != 'd' && spec.type != 'i' && spec.type != 'u') {
        return runtime_error(
            fmt::format("%{} format: an integer is required, not float", spec.type));
      }
      if (!std::isfinite(value.real()) || std::fabs(value.real()) >= 9.2e18) {
        return runtime_error("cannot convert this float to a 64-bit integer");
      }
      number = static_cast<std::int64_t>(value.real());
    } else {
      OLLM_TRY(number, as_index(value));
    }
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    OLLM_TRY(std::string digits, format_whole(number, spec));
    if (spec.precision >= 0 && spec.type != 'c') {  // at least so many digits
      const std::size_t from = digits.find_first_not_of("+- ");
      const auto least = static_cast<std::size_t>(spec.precision);
      if (digits.size() - from < least) {
        digits.insert(from, least - (digits.size() - from), '0');
      }
    }
    append_padded(out_, MarkedText{std::move(digits), {}}, spec, '>');
    return {};
  }

  Interpreter& in_;
  const MarkedText& format_;
  bool markup_;
  const Value& values_;
  TextBuilder out_;
  std::size_t at_ = 0;
  std::size_t used_ = 0;
  bool named_ = false;
};

}  // namespace

Result<Value> percent_format(Interpreter& in, const Value& format, const Value& values) {
  return PercentFormatter(in, format, values).run();
}

}  // namespace ollm::text::jinja
