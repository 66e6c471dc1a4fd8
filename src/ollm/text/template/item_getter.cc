#include "ollm/text/template/item_getter.h"

#include <charconv>
#include <string_view>

#include "ollm/text/template/attributes.h"
#include "ollm/text/template/string_methods.h"

namespace ollm::text::jinja {

ItemGetter::ItemGetter(Interpreter& in, const Value* attribute, const Value* otherwise) {
  if (otherwise != nullptr && !otherwise->is(Kind::none)) {
    otherwise_ = *otherwise;
    has_otherwise_ = true;
  }
  if (attribute == nullptr || attribute->is(Kind::none)) return;
  if (!attribute->is(Kind::string)) {
    keys_.push_back(*attribute);
    return;
  }
  std::string_view rest = attribute->text().bytes;
  for (;;) {
    const std::size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    const bool whole = error == std::errc() && end == part.data() + part.size() && part[0] != '-';
    keys_.push_back(whole ? Value(number) : in.heap().string(part));
    if (dot == std::string_view::npos || !in.budget().spend(1)) break;
    rest.remove_prefix(dot + 1);
  }
}

Result<Value> ItemGetter::operator()(Interpreter& in, const Value& item) const {
  Value value = item;
  for (const Value& key : keys_) {
    if (!in.budget().spend(1)) break;
    OLLM_TRY(value, item_of(in, value, key));
    if (has_otherwise_ && value.is(Kind::undefined)) value = otherwise_;
  }
  return value;
}

Value without_case(Interpreter& in, const Value& value) {
  return value.is(Kind::string) ? with_case(in, value, CaseForm::lower) : value;
}

}  // namespace ollm::text::jinja
