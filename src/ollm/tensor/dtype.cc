#include "ollm/tensor/dtype.h"

#include <fmt/format.h>

#include <array>

#include "ollm/base/check.h"

namespace ollm {
namespace {

struct Row {
  std::string_view name;
  std::uint32_t bytes;
};

// In the order of the enumeration.
constexpr std::array<Row, std::size(kDTypes)> kRows{{{"BOOL", 1},
                                                     {"U8", 1},
                                                     {"I8", 1},
                                                     {"F8_E5M2", 1},
                                                     {"F8_E4M3", 1},
                                                     {"I16", 2},
                                                     {"U16", 2},
                                                     {"F16", 2},
                                                     {"BF16", 2},
                                                     {"I32", 4},
                                                     {"U32", 4},
                                                     {"F32", 4},
                                                     {"F64", 8},
                                                     {"I64", 8},
                                                     {"U64", 8}}};

struct Refused {
  std::string_view name;
  std::string_view why;
};

constexpr Refused kRefused[] = {
    {"F4", "elements of 4 bits"},
    {"F6_E2M3", "elements of 6 bits"},
    {"F6_E3M2", "elements of 6 bits"},
    {"F8_E8M0", "a type of scales"},
    {"F8_E4M3FNUZ", "a variant of F8_E4M3 without negative zero"},
    {"F8_E5M2FNUZ", "a variant of F8_E5M2 without negative zero"},
    {"C64", "complex numbers"},
};

const Row& row(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  OLLM_CHECK(index < kRows.size());
  return kRows[index];
}

}  // namespace

std::uint32_t size_bytes(DType dtype) { return row(dtype).bytes; }

std::string_view to_string(DType dtype) { return row(dtype).name; }

Result<DType> parse_dtype(std::string_view text) {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].name == text) return kDTypes[i];
  for (const Refused& refused : kRefused)
    if (refused.name == text)
      return fail(ErrorKind::unsupported,
                  fmt::format("dtype {} ({}) is not built here", text, refused.why));
  return fail(ErrorKind::corrupt,
              fmt::format("unknown dtype '{}'; expected one of the format, such as BF16 or F32",
                          text.substr(0, 64)));
}

}  // namespace ollm
