#include "ollm/text/template/filters.h"

#include <unordered_map>

namespace ollm::text::jinja {

const Filter* find_filter(std::string_view name) {
  static const auto kFilters = [] {
    std::unordered_map<std::string_view, const Filter*> by_name;
    for (const auto family :
         {text_filters(), sequence_filters(), selection_filters(), number_filters()}) {
      for (const Filter& filter : family) by_name.emplace(filter.name, &filter);
    }
    return by_name;
  }();
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace ollm::text::jinja
