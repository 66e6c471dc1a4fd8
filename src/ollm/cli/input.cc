#include "ollm/cli/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/text_form.h"
#include "ollm/base/text_size.h"
#include "ollm/base/utf8.h"
#include "ollm/cli/json_line.h"
#include "ollm/cli/printed.h"

namespace ollm::cli {
namespace {

Error too_long(const std::string& name, std::size_t limit_bytes) {
  if (limit_bytes == kMaxInputBytes || limit_bytes >= (std::size_t{1} << 39))
    return fail(ErrorKind::unsupported, fmt::format("{}: longer than 1 GiB", name));
  return fail(ErrorKind::out_of_budget,
              fmt::format("{}: longer than {}, the most that is read within --memory", name,
                          format_bytes(limit_bytes)));
}

Result<std::string> read_stream(std::FILE* stream, const std::string& name,
                                std::size_t limit_bytes) {
  std::string text;
  char piece[1 << 16];
  for (;;) {
    const std::size_t got = std::fread(piece, 1, sizeof piece, stream);
    text.append(piece, got);
    if (text.size() > limit_bytes) return too_long(name, limit_bytes);
    if (got < sizeof piece) break;
  }
  if (std::ferror(stream) != 0)
    return fail(ErrorKind::io, fmt::format("{}: {}", name, std::strerror(errno)));
  return text;
}

struct CloseFile {
  void operator()(std::FILE* stream) const { std::fclose(stream); }
};
using OpenFile = std::unique_ptr<std::FILE, CloseFile>;

Result<OpenFile> open_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return fail(ErrorKind::invalid_argument, fmt::format("{}: is a folder", path.string()));
  OpenFile stream(std::fopen(path.c_str(), "rb"));
  if (!stream) {
    return fail(errno == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                fmt::format("{}: {}", path.string(), std::strerror(errno)));
  }
  return stream;
}

// By its mark, or, as no text in UTF-8 has so many zero bytes, by every second byte.
bool looks_like_utf16(std::string_view text) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) return true;
  constexpr std::size_t kLooked = 64;
  const std::string_view head = text.substr(0, std::min(text.size(), kLooked) / 2 * 2);
  std::size_t even = 0, odd = 0;
  for (std::size_t i = 0; i < head.size(); ++i)
    (i % 2 == 0 ? even : odd) += head[i] == '\0' ? 1 : 0;
  const std::size_t all = head.size() / 2;
  return all != 0 && (even == 0) != (odd == 0) && std::max(even, odd) == all;
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

std::size_t input_limit(const Settings& settings) {
  if (!settings.runtime.memory) return kMaxInputBytes;
  return std::min<std::size_t>(kMaxInputBytes,
                               static_cast<std::size_t>(*settings.runtime.memory) / 3);
}

Result<std::string> read_stdin(std::size_t limit_bytes) {
  const std::string name = "standard input";
  OLLM_TRY(std::string text, read_stream(stdin, name, limit_bytes));
  return as_utf8(std::move(text), name);
}

Result<std::string> as_utf8(std::string text, const std::string& name) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.starts_with(kMark)) text.erase(0, kMark.size());
  if (looks_like_utf16(text)) {
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("{0}: is UTF-16, expected UTF-8: iconv -f UTF-16 -t UTF-8 turns it", name));
  }
  const std::size_t valid = utf8_prefix(text);
  if (valid == text.size()) return text;
  return fail(ErrorKind::invalid_argument,
              fmt::format("{}: expected UTF-8, found byte 0x{:02X} at offset {}", name,
                          static_cast<unsigned char>(text[valid]), valid));
}

std::size_t known_bytes(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return 0;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<std::size_t>(size);
}

Result<std::string> read_text_file(const std::filesystem::path& path, std::size_t limit_bytes) {
  if (known_bytes(path) > limit_bytes) return too_long(path.string(), limit_bytes);
  OLLM_TRY(const OpenFile stream, open_file(path));
  OLLM_TRY(std::string text, read_stream(stream.get(), path.string(), limit_bytes));
  return as_utf8(std::move(text), path.string());
}

Result<std::vector<ScoreRow>> read_id_rows(std::FILE* stream, std::size_t limit_bytes,
                                           std::size_t row_bytes) {
  // As a tree of values a line takes about twenty times its text.
  constexpr std::size_t kTreeFactor = 20;
  std::vector<ScoreRow> rows;
  std::size_t held = 0;
  std::string line;
  for (std::size_t number = 1;; ++number) {
    const std::string name = fmt::format("line {}", number);
    line.clear();
    int c = std::getc(stream);
    for (; c != EOF && c != '\n'; c = std::getc(stream)) {
      line.push_back(static_cast<char>(c));
      if (held + line.size() * kTreeFactor > limit_bytes || line.size() > kMaxInputBytes)
        return too_long(name, limit_bytes);
    }
    if (c == EOF && std::ferror(stream) != 0)
      return fail(ErrorKind::io, fmt::format("{}: {}", name, std::strerror(errno)));
    OLLM_TRY(line, as_utf8(std::move(line), name));
    if (const std::string_view text = trimmed_line(line); !text.empty()) {
      Result<ScoreRow> row = parse_row(text);
      if (!row.ok()) return std::move(row).error().within(name);
      held += row_bytes + row->ids.size() * sizeof(TokenId) + row->id.size();
      if (held > limit_bytes) return too_long("rows up to " + name, limit_bytes);
      rows.push_back(std::move(row).value());
    }
    if (c == EOF) return rows;
  }
}

Result<std::vector<ScoreRow>> read_id_rows(const std::filesystem::path& path,
                                           std::size_t limit_bytes, std::size_t row_bytes) {
  OLLM_TRY(const OpenFile stream, open_file(path));
  Result<std::vector<ScoreRow>> rows = read_id_rows(stream.get(), limit_bytes, row_bytes);
  if (!rows.ok()) return std::move(rows).error().within(path.string());
  return rows;
}

Result<void> check_text_fits(const Settings& settings, const Allowances& allowances,
                             std::size_t text_bytes) {
  // Below it a text takes no more than the plan leaves to any process.
  constexpr std::size_t kSmallText = std::size_t{64} << 10;
  if (text_bytes <= kSmallText) return {};
  Workload workload;
  workload.prompt_tokens = 1;
  workload.text_bytes = text_bytes;
  OLLM_TRY(const Plan plan, make_plan(settings, workload, allowances));
  const Result<void> fits = plan.check();
  if (fits.ok() || fits.error().kind != ErrorKind::out_of_budget) return {};
  return Error(fits.error())
      .within(fmt::format("a text of {} bytes, whose tokens are not counted yet and may need more",
                          text_bytes));
}

Result<Text> open_text_to_run(const Settings& settings, const Allowances& allowances) {
  Result<Text> text = Text::open(settings);
  if (text.ok()) return text;
  OLLM_TRY(const Plan plan, make_plan(settings, {}, allowances));
  if (!plan.runtime_plan().is_executable()) OLLM_TRY_VOID(plan.check());
  return text;
}

Result<std::vector<TokenId>> parse_ids(std::string_view text) {
  std::vector<TokenId> ids;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view word = trimmed_line(text.substr(0, comma));
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
