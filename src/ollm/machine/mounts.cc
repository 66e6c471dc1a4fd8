#include "ollm/machine/mounts.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ollm/machine/text_lines.h"

namespace ollm::machine {
namespace {

// Blanks, tabs, line ends and backslashes are written as three octal digits: "\040".
std::string unescaped(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      const int code = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out += static_cast<char>(code);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t space = std::min(line.find(' '), line.size());
    if (space != 0) words.push_back(line.substr(0, space));
    line.remove_prefix(std::min(space + 1, line.size()));
  }
  return words;
}

bool lies_on(const std::filesystem::path& path, const std::filesystem::path& point) {
  if (point == "/") return true;
  return std::mismatch(point.begin(), point.end(), path.begin(), path.end()).first == point.end();
}

}  // namespace

std::optional<Mount> mount_of(const std::filesystem::path& path, std::string_view mountinfo) {
  std::optional<Mount> best;
  for_each_line(mountinfo, [&](std::string_view line) {
    // "36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/sda1 rw": any number of optional
    // fields stands before the dash.
    const std::vector<std::string_view> words = words_of(line);
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 3 || dash - words.begin() < 6) return;
    Mount mount{unescaped(words[4]), std::string(dash[1]), unescaped(dash[2]),
                std::string(words[2])};
    if (!lies_on(path, mount.point)) return;
    if (!best || mount.point.string().size() >= best->point.string().size())
      best = std::move(mount);
  });
  return best;
}

}  // namespace ollm::machine
