// A table of about a hundred ranges (unicode_newer.h).
// Leaves out scripts but Han, and code points of the categories C and Z, which have hardly changed.
#include "ollm/text/unicode_newer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace ollm::text::unicode {
namespace {

struct NewerRange {
  char32_t first;
  char32_t last;
  std::string_view category;
};

constexpr NewerRange kNewer[] = {
#include "ollm/text/unicode_newer_table.inc"
};

// Marks that are Alphabetic.
constexpr std::string_view kAlphabeticMarks =
    R"(\x{897}\x{CF3}\x{10D69}\x{10EFC}\x{11241}\x{113B8}-\x{113C0}\x{113C2}\x{113C5})"
    R"(\x{113C7}-\x{113CA}\x{113CC}-\x{113CD}\x{11F00}-\x{11F01}\x{11F03}\x{11F34}-\x{11F3A})"
    R"(\x{11F3E}-\x{11F40}\x{1611E}-\x{1612E}\x{1E08F})";
constexpr std::string_view kLowercaseModifiers = R"(\x{1E030}-\x{1E06D})";
constexpr std::string_view kHan = R"(\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";

// Upper case letters first to last, and the lower case of the first.
struct NewerLower {
  char32_t first;
  char32_t last;
  char32_t lower;
};
constexpr NewerLower kNewerLower[] = {
    {0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x264},  {0xA7CC, 0xA7CC, 0xA7CD},
    {0xA7CE, 0xA7CE, 0xA7CF},    {0xA7D2, 0xA7D2, 0xA7D3}, {0xA7D4, 0xA7D4, 0xA7D5},
    {0xA7DA, 0xA7DA, 0xA7DB},    {0xA7DC, 0xA7DC, 0x19B},  {0x10D50, 0x10D65, 0x10D70},
    {0x16EA0, 0x16EB8, 0x16EBB},
};

}  // namespace

std::string_view newer_category(char32_t c) {
  const auto* found = std::lower_bound(
      std::begin(kNewer), std::end(kNewer), c,
      [](const NewerRange& range, char32_t wanted) { return range.last < wanted; });
  return found != std::end(kNewer) && found->first <= c ? found->category : std::string_view();
}

std::string newer_ranges(std::string_view property) {
  if (property == "alphabetic") return newer_ranges("L").append(kAlphabeticMarks);
  if (property == "lowercase") return newer_ranges("Ll").append(kLowercaseModifiers);
  if (property == "uppercase") return newer_ranges("Lu");
  if (property == "sc:han") return std::string(kHan);
  std::string out;
  if (property.empty() || property.size() > 2) return out;
  for (const NewerRange& range : kNewer) {
    if (!range.category.starts_with(property)) continue;
    out += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", static_cast<std::uint32_t>(range.first),
                       static_cast<std::uint32_t>(range.last));
  }
  return out;
}

bool is_newer_number(char32_t c) {
  return newer_category(c).starts_with('N') || (c >= 0x11DE0 && c <= 0x11DE9) ||
         (c >= 0x16FF4 && c <= 0x16FF6);
}

char32_t newer_lower(char32_t c) {
  if (c < std::begin(kNewerLower)->first) return c;
  for (const NewerLower& range : kNewerLower) {
    if (c >= range.first && c <= range.last) return range.lower + (c - range.first);
  }
  return c;
}

}  // namespace ollm::text::unicode
