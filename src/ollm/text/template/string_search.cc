#include "ollm/text/template/string_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/characters.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/string_methods.h"

namespace ollm::text::jinja {
namespace {

// A part of a text by optional start and stop in characters, as bytes; and whether it exists at
// all (a start behind the end finds not even the empty text).
struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool valid = true;
};

Result<Part> part_of(Interpreter& in, const Value& text, const BoundArguments& bound,
                     std::size_t start_index) {
  const auto size = static_cast<std::int64_t>(text.as<StringObject>().code_points);
  const auto clamp = [&](const Value* given, std::int64_t otherwise) -> Result<std::int64_t> {
    if (given == nullptr) return otherwise;
    OLLM_TRY(const std::int64_t index, as_index(*given));
    return index < 0 ? std::max<std::int64_t>(0, size + index) : index;
  };
  OLLM_TRY(const std::int64_t start, clamp(bound.given(start_index), 0));
  OLLM_TRY(std::int64_t stop, clamp(bound.given(start_index + 1), size));
  stop = std::min(stop, size);
  Part part;
  part.valid = start <= stop;
  if (part.valid) {
    in.budget().spend_bytes(start > 0 || stop < size ? text.text().bytes.size() : 0);
    part.begin = byte_offset_of(text.text().bytes, static_cast<std::size_t>(start));
    part.end = byte_offset_of(text.text().bytes, static_cast<std::size_t>(stop));
  }
  return part;
}

Result<std::string_view> text_argument(const BoundArguments& bound, std::size_t index) {
  const Value& value = *bound[index];
  if (value.is(Kind::string)) return std::string_view(value.text().bytes);
  if (value.is(Kind::undefined)) return undefined_error(value);
  return runtime_error(fmt::format("must be str, not {}", type_name(value)));
}

// Searching backwards compares at every place in the worst case, 1 KiB or so at a step's cost.
bool spend_on_reverse_search(Interpreter& in, std::string_view text, std::string_view wanted) {
  return in.budget().spend(1 + text.size() / 1024 * wanted.size());
}

template <bool from_right, bool must_be>
Result<Value> find(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("find", arguments, {"sub", "start", "end"}, 1));
  OLLM_TRY(const std::string_view wanted, text_argument(bound, 0));
  OLLM_TRY(const Part part, part_of(in, self, bound, 1));
  const std::string_view text = self.text().bytes;
  in.budget().spend_bytes(text.size());
  if (part.valid) {
    const std::string_view within = text.substr(part.begin, part.end - part.begin);
    if (from_right && !spend_on_reverse_search(in, within, wanted)) return Value();
    const std::size_t found = from_right ? within.rfind(wanted) : find_text(within, wanted);
    if (found != std::string_view::npos) {
      return Value::count(count_code_points(text.substr(0, part.begin + found)));
    }
  }
  if (must_be) return runtime_error("substring not found");
  return Value(std::int64_t{-1});
}

Result<Value> count(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("count", arguments, {"sub", "start", "end"}, 1));
  OLLM_TRY(const std::string_view wanted, text_argument(bound, 0));
  OLLM_TRY(const Part part, part_of(in, self, bound, 1));
  in.budget().spend_bytes(self.text().bytes.size());
  if (!part.valid) return Value::count(0);
  const std::string_view within =
      std::string_view(self.text().bytes).substr(part.begin, part.end - part.begin);
  if (wanted.empty()) return Value::count(count_code_points(within) + 1);
  std::size_t found = 0;
  for (std::size_t at = find_text(within, wanted); at != std::string_view::npos;
       at = find_text(within, wanted, at + wanted.size())) {
    if (!in.budget().spend(1)) break;
    ++found;
  }
  return Value::count(found);
}

template <bool at_end>
Result<Value> has_affix(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound,
           bind("startswith", arguments, {"prefix", "start", "end"}, 1));
  OLLM_TRY(const Part part, part_of(in, self, bound, 1));
  const std::string_view text =
      std::string_view(self.text().bytes).substr(part.begin, part.end - part.begin);
  const auto matches = [&](const Value& affix) {
    if (!part.valid) return false;
    const std::string_view wanted = affix.text().bytes;
    in.budget().spend_bytes(wanted.size());
    return at_end ? text.ends_with(wanted) : text.starts_with(wanted);
  };
  const Value& affix = *bound[0];
  if (affix.is(Kind::string)) return Value(matches(affix));
  if (affix.is(Kind::undefined)) return undefined_error(affix);
  if (!affix.is(Kind::tuple)) {
    return runtime_error(fmt::format("{} first arg must be str or a tuple of str, not {}",
                                     at_end ? "endswith" : "startswith", type_name(affix)));
  }
  for (const Value& candidate : affix.items()) {
    if (!in.budget().spend(1)) break;
    if (!candidate.is(Kind::string)) {
      return runtime_error(fmt::format("tuple for {} must only contain str, not {}",
                                       at_end ? "endswith" : "startswith", type_name(candidate)));
    }
    if (matches(candidate)) return Value(true);
  }
  return Value(false);
}

// Pieces between runs of white space.
std::vector<Value> split_at_space(Interpreter& in, const Value& text, std::int64_t most,
                                  bool from_right) {
  const std::string_view bytes = text.text().bytes;
  in.budget().spend_bytes(bytes.size() * 4);
  std::vector<Value> pieces;
  if (!from_right) {
    std::size_t at = 0;
    for (;;) {
      CodePoint c = decode_at(bytes, at);
      while (c.size > 0 && is_space(c.value)) c = decode_at(bytes, at += c.size);
      if (c.size == 0 || !in.budget().spend(1)) break;
      std::size_t end = at;
      if (most == 0) {  // the rest as it is
        pieces.push_back(substring(in, text, at, bytes.size()));
        break;
      }
      while (c.size > 0 && !is_space(c.value)) c = decode_at(bytes, end += c.size);
      pieces.push_back(substring(in, text, at, end));
      at = end;
      --most;
    }
    return pieces;
  }
  std::size_t end = bytes.size();
  for (;;) {
    CodePoint c = decode_before(bytes, end);
    while (c.size > 0 && is_space(c.value)) c = decode_before(bytes, end -= c.size);
    if (c.size == 0 || !in.budget().spend(1)) break;
    std::size_t begin = end;
    if (most == 0) {
      pieces.push_back(substring(in, text, 0, end));
      break;
    }
    while (c.size > 0 && !is_space(c.value)) c = decode_before(bytes, begin -= c.size);
    pieces.push_back(substring(in, text, begin, end));
    end = begin;
    --most;
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

template <bool from_right>
Result<Value> split(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("split", arguments, {"sep", "maxsplit"}, 0));
  OLLM_TRY(std::int64_t most, bound.whole(1, -1));
  if (bound.given(0) == nullptr) {
    return in.heap().list(split_at_space(in, self, most, from_right));
  }
  OLLM_TRY(const std::string_view separator, text_argument(bound, 0));
  if (separator.empty()) return runtime_error("empty separator");
  const std::string_view text = self.text().bytes;
  in.budget().spend_bytes(text.size());
  std::vector<Value> pieces;
  if (!from_right) {
    std::size_t begin = 0;
    for (; most != 0; --most) {
      const std::size_t found = find_text(text, separator, begin);
      if (found == std::string_view::npos || !in.budget().spend(1)) break;
      pieces.push_back(substring(in, self, begin, found));
      begin = found + separator.size();
    }
    pieces.push_back(substring(in, self, begin, text.size()));
    return in.heap().list(std::move(pieces));
  }
  std::size_t end = text.size();
  if (!spend_on_reverse_search(in, text, separator)) return Value();
  for (; most != 0 && end >= separator.size(); --most) {
    const std::size_t found = text.rfind(separator, end - separator.size());
    if (found == std::string_view::npos || !in.budget().spend(1)) break;
    pieces.push_back(substring(in, self, found + separator.size(), end));
    end = found;
  }
  pieces.push_back(substring(in, self, 0, end));
  std::reverse(pieces.begin(), pieces.end());
  return in.heap().list(std::move(pieces));
}

template <bool from_right>
Result<Value> partition(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("partition", arguments, {"sep"}, 1));
  OLLM_TRY(const std::string_view separator, text_argument(bound, 0));
  if (separator.empty()) return runtime_error("empty separator");
  const std::string_view text = self.text().bytes;
  in.budget().spend_bytes(text.size());
  if (from_right && !spend_on_reverse_search(in, text, separator)) return Value();
  const std::size_t found = from_right ? text.rfind(separator) : find_text(text, separator);
  const Value empty = in.heap().string("");
  if (found == std::string_view::npos) {
    return in.heap().tuple(from_right ? std::vector<Value>{empty, empty, self}
                                      : std::vector<Value>{self, empty, empty});
  }
  const std::size_t after = found + separator.size();
  return in.heap().tuple({substring(in, self, 0, found), substring(in, self, found, after),
                          substring(in, self, after, text.size())});
}

}  // namespace

FunctionObject::Body search_method(std::string_view name) {
  static const std::unordered_map<std::string_view, FunctionObject::Body> kMethods = {
      {"find", &find<false, false>},
      {"rfind", &find<true, false>},
      {"index", &find<false, true>},
      {"rindex", &find<true, true>},
      {"count", &count},
      {"startswith", &has_affix<false>},
      {"endswith", &has_affix<true>},
      {"split", &split<false>},
      {"rsplit", &split<true>},
      {"partition", &partition<false>},
      {"rpartition", &partition<true>},
  };
  const auto found = kMethods.find(name);
  return found == kMethods.end() ? nullptr : found->second;
}

}  // namespace ollm::text::jinja
