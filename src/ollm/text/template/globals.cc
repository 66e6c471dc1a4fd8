#include "ollm/text/template/globals.h"

#include <fmt/format.h>
#include <locale.h>

#include <algorithm>
#include <ctime>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/container_methods.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

Result<Value> range(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  if (!arguments.named.empty()) return runtime_error("range() takes no keyword arguments");
  const std::size_t count = arguments.positional.size();
  if (count < 1 || count > 3) {
    return runtime_error(fmt::format("range expected 1 to 3 arguments, got {}", count));
  }
  std::int64_t values[3] = {0, 0, 1};
  for (std::size_t i = 0; i < count; ++i) {
    OLLM_TRY(values[count == 1 ? 1 : i], as_index(arguments.positional[i]));
  }
  if (values[2] == 0) return runtime_error("range() arg 3 must not be zero");
  auto made = std::make_shared<RangeObject>(values[0], values[1], values[2]);
  const std::uint64_t most = in.budget().limits().range_items;
  if (made->length > most) {
    in.budget().exceed(fmt::format("a range of {} items, above {}", made->length, most));
    return Value();
  }
  return in.heap().adopt(std::move(made), 0, 0);
}

Result<Value> dict(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  if (arguments.positional.size() > 1) {
    return runtime_error(
        fmt::format("dict expected at most 1 argument, got {}", arguments.positional.size()));
  }
  auto made = std::make_shared<DictObject>();
  for (const Value& source : arguments.positional) {
    OLLM_TRY_VOID(fill_dict(in, *made, source));
  }
  for (const auto& [name, value] : arguments.named) {
    made->set(in.heap().string(name), value, &in.budget());
  }
  return in.heap().dict(std::move(made));
}

Result<Value> name_space(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const Value made, dict(in, self, arguments));
  auto space = std::make_shared<NamespaceObject>();
  for (const auto& [key, value] : made.as<DictObject>().items) {
    if (!key.is(Kind::string)) continue;
    const std::string& name = key.text().bytes;
    if (name.starts_with('_')) {
      return runtime_error(fmt::format(
          "Chat templates cannot store underscore-prefixed attributes on a namespace, but got "
          "'{}'. Please rename the attribute.",
          name));
    }
    space->attributes.emplace_back(name, value);
  }
  return in.heap().name_space(std::move(space));
}

Result<Value> cycler(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  if (arguments.positional.empty()) return runtime_error("at least one item has to be provided");
  std::size_t depth = 0;
  for (const Value& item : arguments.positional) depth = std::max(depth, item.depth());
  return in.heap().adopt(std::make_shared<CyclerObject>(arguments.positional),
                         arguments.positional.size() * sizeof(Value), depth + 1);
}

Result<Value> joiner(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("joiner", arguments, {"sep"}, 0));
  const Value separator = bound.has(0) ? *bound[0] : in.heap().string(", ");
  return in.heap().adopt(std::make_shared<JoinerObject>(separator), 0, separator.depth() + 1);
}

Result<Value> raise_exception(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("raise_exception", arguments, {"message"}, 1));
  TextBuilder message = in.heap().builder();
  append_str(in, message, *bound[0]);
  return in.raise(message.take().bytes);
}

// The format with what C leaves to the system replaced as a datetime without a zone has it.
std::string portable_format(std::string_view format) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      out += format[i];
      continue;
    }
    ++i;
    if (format[i] == 'f') {
      out += "000000";
    } else if (format[i] != 'Z' && format[i] != 'z') {
      out += '%';
      out += format[i];
    }
  }
  return out;
}

Result<Value> strftime_now(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("strftime_now", arguments, {"format"}, 1));
  if (!bound[0]->is(Kind::string)) {
    return runtime_error(
        fmt::format("strftime() argument 1 must be str, not {}", type_name(*bound[0])));
  }
  const MarkedText& given = bound[0]->text();
  in.budget().spend_bytes(given.bytes.size() * 16);
  // English names, whatever locale the program is in.
  static const locale_t kPlainLocale = newlocale(LC_ALL_MASK, "C", nullptr);
  // A character before the format tells an empty result from one that does not fit.
  const std::string format = "." + portable_format(given.bytes);
  std::string buffer(std::size_t{1} << 16, '\0');
  const std::size_t size =
      strftime_l(buffer.data(), buffer.size(), format.c_str(), &in.local_time(), kPlainLocale);
  if (size == 0) {
    in.budget().exceed("a time of more than 65536 bytes");
    return Value();
  }
  TextBuilder out = in.heap().builder();
  out.append(std::string_view(buffer).substr(1, size - 1), given.any_literal());
  return in.heap().string(std::move(out));
}

Result<Value> lipsum(Interpreter& /*in*/, const Value& /*self*/, const Arguments& /*arguments*/) {
  return fail(ErrorKind::unsupported, "lipsum, which makes up text by chance, is not built");
}

}  // namespace

FunctionObject::Body global_function(std::string_view name) {
  if (name == "range") return &range;
  if (name == "dict") return &dict;
  if (name == "namespace") return &name_space;
  if (name == "raise_exception") return &raise_exception;
  if (name == "strftime_now") return &strftime_now;
  if (name == "cycler") return &cycler;
  if (name == "joiner") return &joiner;
  if (name == "lipsum") return &lipsum;
  return nullptr;
}

bool is_dict_type(const Value& function) {
  return function.is(Kind::function) && function.as<FunctionObject>().body == &dict;
}

}  // namespace ollm::text::jinja
