#include "ollm/cli/input.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/cli/json_line.h"

namespace ollm::cli {
namespace {

Result<std::string> read_stream(std::FILE* stream, const std::string& name) {
  std::string text;
  char piece[1 << 16];
  for (;;) {
    const std::size_t got = std::fread(piece, 1, sizeof piece, stream);
    text.append(piece, got);
    if (text.size() > kMaxInputBytes)
      return fail(ErrorKind::unsupported, fmt::format("{}: longer than 1 GiB", name));
    if (got < sizeof piece) break;
  }
  if (std::ferror(stream) != 0)
    return fail(ErrorKind::io, fmt::format("{}: {}", name, std::strerror(errno)));
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
    text.remove_suffix(1);
  return text;
}

Result<ScoreRow> parse_row(std::string_view line) {
  const auto refuse = [](std::string message) {
    return fail(ErrorKind::invalid_argument, std::move(message));
  };
  OLLM_TRY(const nlohmann::ordered_json value, parse_json_line(line));
  ScoreRow row;
  const auto id = value.find("id");
  if (id == value.end()) return refuse("no field 'id'");
  if (id->is_string()) {
    row.id = id->get<std::string>();
  } else if (id->is_number_integer()) {
    row.id = id->dump();
  } else {
    return refuse("id: expected a text or a whole number");
  }
  const auto ids = value.find("ids");
  if (ids == value.end() || !ids->is_array()) return refuse("ids: expected a list of numbers");
  for (const nlohmann::ordered_json& entry : *ids) {
    if (!entry.is_number_integer() || entry.get<std::int64_t>() < 0 ||
        entry.get<std::int64_t>() > INT32_MAX)
      return refuse(fmt::format("ids: expected token ids from 0, found {}", shown(entry)));
    row.ids.push_back(entry.get<TokenId>());
  }
  return row;
}

}  // namespace

Result<std::string> read_stdin() { return read_stream(stdin, "standard input"); }

Result<std::string> read_text_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return fail(ErrorKind::invalid_argument, fmt::format("{}: is a folder", path.string()));
  std::FILE* stream = std::fopen(path.c_str(), "rb");
  if (stream == nullptr) {
    return fail(errno == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                fmt::format("{}: {}", path.string(), std::strerror(errno)));
  }
  Result<std::string> text = read_stream(stream, path.string());
  std::fclose(stream);
  return text;
}

Result<Text> open_text_to_run(const Settings& settings,
                              const std::vector<std::string>& allow_config_keys) {
  Result<Text> text = Text::open(settings);
  if (text.ok()) return text;
  OLLM_TRY(const Plan plan, make_plan(settings, {}, allow_config_keys));
  if (!plan.runtime_plan().is_executable()) OLLM_TRY_VOID(plan.check());
  return text;
}

Result<std::vector<TokenId>> parse_ids(std::string_view text) {
  std::vector<TokenId> ids;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view word = trimmed(text.substr(0, comma));
    TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("--ids: expected token ids as in 1,2,3, found '{}'", word));
    }
    ids.push_back(id);
    if (comma == std::string_view::npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

Result<std::vector<ScoreRow>> parse_id_rows(std::string_view text) {
  std::vector<ScoreRow> rows;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    Result<ScoreRow> row = parse_row(line);
    if (!row.ok()) return std::move(row).error().within(fmt::format("line {}", number));
    rows.push_back(std::move(row).value());
  }
  return rows;
}

Result<void> choose_template(const std::string& name_or_path, TemplateOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(name_or_path, error)) {
    options.name = name_or_path;
    return {};
  }
  OLLM_TRY(options.source, read_text_file(name_or_path));
  return {};
}

}  // namespace ollm::cli
