// Any bytes as `--ids`, as a file of `--ids-file` and as one line of standard input: rows of ids,
// or an error that says which line; and rows that were taken are taken again when they are written.
// As a text from outside: UTF-8 or an error, and what is shown of it is printable.
// links: ollm_cli nlohmann_json::nlohmann_json fmt::fmt
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/base/utf8.h"
#include "ollm/cli/input.h"
#include "ollm/cli/json_line.h"
#include "ollm/cli/printed.h"

namespace {

using Json = nlohmann::ordered_json;

void hold_ids(std::string_view text) {
  const auto ids = ollm::cli::parse_ids(text);
  if (!ids.ok()) {
    OLLM_CHECK(ids.error().kind == ollm::ErrorKind::invalid_argument);
    return;
  }
  OLLM_CHECK(!ids->empty());
  std::string written;
  for (const ollm::TokenId id : *ids) {
    OLLM_CHECK(id >= 0);
    written += (written.empty() ? "" : ",") + std::to_string(id);
  }
  const auto again = ollm::cli::parse_ids(written);
  OLLM_CHECK(again.ok() && *again == *ids);
}

// Read as a file of that text is.
ollm::Result<std::vector<ollm::ScoreRow>> rows_of(std::string text) {
  text.push_back('\n');  // no stream is made of nothing; a blank line is passed over
  std::FILE* stream = ::fmemopen(text.data(), text.size(), "r");
  OLLM_CHECK(stream != nullptr);
  auto rows = ollm::cli::read_id_rows(stream, ollm::cli::kMaxInputBytes, 300);
  std::fclose(stream);
  return rows;
}

void hold_rows(std::string_view text) {
  const auto rows = rows_of(std::string(text));
  if (!rows.ok()) {
    OLLM_CHECK(rows.error().kind == ollm::ErrorKind::invalid_argument);
    OLLM_CHECK(rows.error().message.starts_with("line "));
    return;
  }
  std::string written;
  for (const ollm::ScoreRow& row : *rows) {
    for (const ollm::TokenId id : row.ids) OLLM_CHECK(id >= 0);
    written += Json({{"id", row.id}, {"ids", row.ids}}).dump() + "\n";
  }
  const auto again = rows_of(written);
  OLLM_CHECK(again.ok() && again->size() == rows->size());
  for (std::size_t i = 0; i < rows->size(); ++i)
    OLLM_CHECK((*again)[i].id == (*rows)[i].id && (*again)[i].ids == (*rows)[i].ids);
}

// A text from outside is UTF-8 or refused, and what is shown of it drives no terminal.
void hold_text(std::string_view text) {
  const auto taken = ollm::cli::as_utf8(std::string(text), "input");
  if (taken.ok()) {
    OLLM_CHECK(ollm::utf8_prefix(*taken) == taken->size());
    OLLM_CHECK(text.ends_with(*taken));
  } else {
    OLLM_CHECK(taken.error().kind == ollm::ErrorKind::invalid_argument);
    OLLM_CHECK(taken.error().message.starts_with("input: "));
  }
  const std::string shown = ollm::cli::printable(text);
  OLLM_CHECK(ollm::utf8_prefix(shown) == shown.size());
  OLLM_CHECK(ollm::cli::printable(shown) == shown);
  for (const char c : shown)
    OLLM_CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) || c == '\n' || c == '\t');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  hold_ids(text);
  hold_rows(text);
  hold_text(text);
  const auto line = ollm::cli::parse_json_line(text);
  if (line.ok()) {
    OLLM_CHECK(line->is_object());
    for (const auto& [key, value] : line->items()) OLLM_CHECK(!ollm::cli::shown(value).empty());
  }
  return 0;
}
