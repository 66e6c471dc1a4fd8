#include "ollm/cli/printed.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "ollm/base/utf8.h"

namespace ollm::cli {
namespace {

bool is_terminal(std::FILE* stream) { return ::isatty(::fileno(stream)) != 0; }

void write(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
}

// U+0080 to U+009F, which terminals obey as they do ESC and a letter.
bool is_c1(std::string_view character) {
  return character.size() == 2 && character[0] == '\xC2' &&
         static_cast<unsigned char>(character[1]) < 0xA0;
}

bool is_c0_or_delete(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = utf8_sequence(text, 0);
    const std::string_view character = text.substr(0, std::max<std::size_t>(size, 1));
    text.remove_prefix(character.size());
    const char c = character.front();
    if (c == '\r' && text.starts_with('\n')) continue;
    const bool layout = c == '\n' || c == '\t';
    if (size == 0 || (is_c0_or_delete(c) && !layout)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else if (is_c1(character)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(character[1]));
    } else {
      out += character;
    }
  }
  return out;
}

void print_words(std::FILE* stream, std::string_view text) { write(stream, printable(text)); }

void print_data(std::FILE* stream, std::string_view text) {
  if (is_terminal(stream)) return print_words(stream, text);
  write(stream, text);
}

void print_json(std::string_view json) {
  if (!is_terminal(stdout)) {
    write(stdout, json);
  } else {
    // Of valid JSON only texts hold what is escaped here; its C0 are escaped already.
    std::string out;
    while (!json.empty()) {
      const std::string_view character =
          json.substr(0, std::max<std::size_t>(utf8_sequence(json, 0), 1));
      json.remove_prefix(character.size());
      if (character == "\x7F") {
        out += "\\u007f";
      } else if (is_c1(character)) {
        out += fmt::format("\\u00{:02x}", static_cast<unsigned char>(character[1]));
      } else {
        out += character;
      }
    }
    write(stdout, out);
  }
  write(stdout, "\n");
}

}  // namespace ollm::cli
