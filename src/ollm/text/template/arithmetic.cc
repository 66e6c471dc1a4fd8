// Python's arithmetic: whole numbers of 64 bits, floats, and what + * % mean for text and lists.
// Leaves to others: the format of `text % values` (percent_format.cc).
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"
#include "ollm/text/template/string_methods.h"

namespace ollm::text::jinja {
namespace {

Error beyond_64_bits() { return runtime_error("an integer beyond 64 bits"); }

Error unsupported_operands(BinaryOperator op, const Value& a, const Value& b) {
  if (a.is(Kind::undefined)) return undefined_error(a);
  if (b.is(Kind::undefined)) return undefined_error(b);
  if (op == BinaryOperator::add && (a.is(Kind::string) || a.is(Kind::list) || a.is(Kind::tuple))) {
    return runtime_error(
        fmt::format("can only concatenate {0} (not \"{1}\") to {0}", type_name(a), type_name(b)));
  }
  return runtime_error(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'",
                                   to_string(op), type_name(a), type_name(b)));
}

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

double floor_remainder(double a, double b) {
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  return remainder == 0 ? std::copysign(0.0, b) : remainder;
}

Result<Value> integer_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return runtime_error("0.0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  bool base_overflowed = false;
  while (exponent > 0) {
    if ((exponent & 1) != 0) {
      if (base_overflowed || __builtin_mul_overflow(result, base, &result)) {
        return beyond_64_bits();
      }
    }
    exponent >>= 1;
    if (exponent > 0) base_overflowed |= __builtin_mul_overflow(base, base, &base);
  }
  return Value(result);
}

Result<Value> integer_arithmetic(BinaryOperator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case BinaryOperator::add:
      if (__builtin_add_overflow(a, b, &result)) return beyond_64_bits();
      return Value(result);
    case BinaryOperator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) return beyond_64_bits();
      return Value(result);
    case BinaryOperator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) return beyond_64_bits();
      return Value(result);
    case BinaryOperator::divide:
      if (b == 0) return runtime_error("division by zero");
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOperator::floor_divide:
    case BinaryOperator::modulo:
      if (b == 0) return runtime_error("integer division or modulo by zero");
      if (b == -1) {  // the one quotient that overflows: the smallest integer by -1
        if (op == BinaryOperator::modulo) return Value(std::int64_t{0});
        if (a == std::numeric_limits<std::int64_t>::min()) return beyond_64_bits();
        return Value(-a);
      }
      result = floor_quotient(a, b);
      return Value(op == BinaryOperator::floor_divide ? result : a - result * b);
    case BinaryOperator::power:
      return integer_power(a, b);
  }
  return beyond_64_bits();
}

Result<Value> real_arithmetic(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::add:
      return Value(a + b);
    case BinaryOperator::subtract:
      return Value(a - b);
    case BinaryOperator::multiply:
      return Value(a * b);
    case BinaryOperator::divide:
      if (b == 0) return runtime_error("float division by zero");
      return Value(a / b);
    case BinaryOperator::floor_divide:
      if (b == 0) return runtime_error("float floor division by zero");
      {
        const double quotient = (a - floor_remainder(a, b)) / b;
        const double whole = std::floor(quotient);
        return Value(quotient - whole > 0.5 ? whole + 1 : whole);
      }
    case BinaryOperator::modulo:
      if (b == 0) return runtime_error("float modulo");
      return Value(floor_remainder(a, b));
    case BinaryOperator::power:
      if (a == 0 && b < 0) return runtime_error("0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(b) && std::trunc(b) != b) {
        return runtime_error("a negative number to a power that is not whole is complex");
      }
      {
        const double result = std::pow(a, b);
        if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
          return runtime_error("Numerical result out of range");
        }
        return Value(result);
      }
  }
  return Value(0.0);
}

Result<Value> concatenated(Interpreter& in, const Value& a, const Value& b) {
  const bool markup = a.as<StringObject>().markup || b.as<StringObject>().markup;
  TextBuilder out = in.heap().builder();
  // What meets safe text and is not safe itself is escaped, as markupsafe does.
  for (const Value* part : {&a, &b}) {
    if (markup && !part->as<StringObject>().markup) {
      append_escaped(out, part->text());
    } else {
      out.append(part->text());
    }
  }
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out), markup);
}

Result<Value> repeated(Interpreter& in, const Value& sequence, const Value& count) {
  OLLM_TRY(const std::int64_t signed_times, as_index(count));
  const auto times = static_cast<std::size_t>(std::max<std::int64_t>(0, signed_times));
  if (sequence.is(Kind::string)) {
    const MarkedText& text = sequence.text();
    const bool markup = sequence.as<StringObject>().markup;
    TextBuilder out = in.heap().builder();
    if (!text.any_literal()) {
      out.append_repeated(text.bytes, times);
    } else {
      for (std::size_t i = 0; i < times && !out.overflowed(); ++i) out.append(text);
    }
    in.budget().spend_bytes(out.size());
    return in.heap().string(std::move(out), markup);
  }
  if (sequence.is(Kind::bytes)) {
    const MarkedText& data = sequence.as<BytesObject>().data;
    TextBuilder out = in.heap().builder();
    for (std::size_t i = 0; i < times && !out.overflowed() && !data.bytes.empty(); ++i)
      out.append(data);
    in.budget().spend_bytes(out.size());
    return in.heap().bytes(std::move(out));
  }
  std::vector<Value> items;
  const std::size_t size = sequence.items().size();
  if (size > 0 && times > in.budget().room_bytes() / sizeof(Value) / size) {
    in.budget().exceed_memory();
    return Value();
  }
  items.reserve(size * times);
  for (std::size_t i = 0; i < times; ++i) {
    if (!in.budget().spend(size)) break;
    items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  }
  return in.heap().sequence(sequence.kind(), std::move(items));
}

bool is_repeatable(const Value& value) {
  return value.is(Kind::string) || value.is(Kind::bytes) || value.is(Kind::list) ||
         value.is(Kind::tuple);
}

bool is_whole(const Value& value) { return value.is(Kind::integer) || value.is(Kind::boolean); }

}  // namespace

std::string_view to_string(BinaryOperator op) {
  switch (op) {
    case BinaryOperator::add:
      return "+";
    case BinaryOperator::subtract:
      return "-";
    case BinaryOperator::multiply:
      return "*";
    case BinaryOperator::divide:
      return "/";
    case BinaryOperator::floor_divide:
      return "//";
    case BinaryOperator::modulo:
      return "%";
    case BinaryOperator::power:
      return "** or pow()";
  }
  return "?";
}

Result<Value> arithmetic(Interpreter& in, BinaryOperator op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is(Kind::real) || b.is(Kind::real)) return real_arithmetic(op, as_real(a), as_real(b));
    OLLM_TRY(const std::int64_t left, as_index(a));
    OLLM_TRY(const std::int64_t right, as_index(b));
    return integer_arithmetic(op, left, right);
  }
  switch (op) {
    case BinaryOperator::add:
      if (a.is(Kind::string) && b.is(Kind::string)) return concatenated(in, a, b);
      if (a.is(Kind::bytes) && b.is(Kind::bytes)) {
        TextBuilder out = in.heap().builder();
        out.append(a.as<BytesObject>().data);
        out.append(b.as<BytesObject>().data);
        in.budget().spend_bytes(out.size());
        return in.heap().bytes(std::move(out));
      }
      if ((a.is(Kind::list) || a.is(Kind::tuple)) && a.kind() == b.kind()) {
        if (!in.budget().spend(a.items().size() + b.items().size())) return Value();
        std::vector<Value> items;
        items.reserve(a.items().size() + b.items().size());
        items.insert(items.end(), a.items().begin(), a.items().end());
        items.insert(items.end(), b.items().begin(), b.items().end());
        return in.heap().sequence(a.kind(), std::move(items));
      }
      break;
    case BinaryOperator::multiply:
      if (is_repeatable(a) && is_whole(b)) return repeated(in, a, b);
      if (is_repeatable(b) && is_whole(a)) return repeated(in, b, a);
      break;
    case BinaryOperator::modulo:
      if (a.is(Kind::string)) return percent_format(in, a, b);
      if (a.is(Kind::bytes))
        return fail(ErrorKind::unsupported, "the operator % of bytes is not built");
      break;
    default:
      break;
  }
  return unsupported_operands(op, a, b);
}

Result<Value> negated(const Value& value) {
  if (value.is(Kind::real)) return Value(-value.real());
  if (!value.is_number()) {
    if (value.is(Kind::undefined)) return undefined_error(value);
    return runtime_error(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
  }
  OLLM_TRY(const std::int64_t whole, as_index(value));
  if (whole == std::numeric_limits<std::int64_t>::min()) return beyond_64_bits();
  return Value(-whole);
}

Result<Value> unary_plus(const Value& value) {
  if (value.is(Kind::boolean)) return Value(static_cast<std::int64_t>(value.boolean() ? 1 : 0));
  if (value.is_number()) return value;
  if (value.is(Kind::undefined)) return undefined_error(value);
  return runtime_error(fmt::format("bad operand type for unary +: '{}'", type_name(value)));
}

}  // namespace ollm::text::jinja
