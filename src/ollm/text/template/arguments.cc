#include "ollm/text/template/arguments.h"

#include <fmt/format.h>

#include <algorithm>

#include "ollm/base/check.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/operators.h"

namespace ollm::text::jinja {

bool BoundArguments::flag(std::size_t index, bool otherwise) const {
  return values_[index] == nullptr ? otherwise : truth(*values_[index]);
}

Result<std::int64_t> BoundArguments::whole(std::size_t index, std::int64_t otherwise) const {
  if (values_[index] == nullptr) return otherwise;
  return as_index(*values_[index]);
}

const Value* BoundArguments::given(std::size_t index) const {
  return values_[index] == nullptr || values_[index]->is(Kind::none) ? nullptr : values_[index];
}

Result<BoundArguments> bind(std::string_view function, const Arguments& arguments,
                            std::initializer_list<std::string_view> parameters,
                            std::size_t required) {
  OLLM_CHECK(parameters.size() <= BoundArguments::kMaxParameters);
  BoundArguments bound;
  if (arguments.positional.size() > parameters.size()) {
    return runtime_error(fmt::format("{}() takes at most {} argument(s), {} were given", function,
                                     parameters.size(), arguments.positional.size()));
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    bound.values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) {
      return runtime_error(
          fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    }
    const auto index = static_cast<std::size_t>(found - parameters.begin());
    if (bound.values_[index] != nullptr) {
      return runtime_error(
          fmt::format("{}() got multiple values for argument '{}'", function, name));
    }
    bound.values_[index] = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (bound.values_[i] == nullptr) {
      return runtime_error(
          fmt::format("{}() missing required argument: '{}'", function, *(parameters.begin() + i)));
    }
  }
  return bound;
}

}  // namespace ollm::text::jinja
