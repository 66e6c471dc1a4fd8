#include "ollm/runtime/logits_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

namespace ollm::runtime {
namespace {

std::string little_endian(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  return bytes;
}

}  // namespace

LogitsFile::LogitsFile(io::OutputFile file, std::vector<std::uint64_t> offsets,
                       std::size_t vocab_size)
    : file_(std::move(file)), offsets_(std::move(offsets)), vocab_size_(vocab_size) {}

Result<LogitsFile> LogitsFile::create(const std::filesystem::path& path,
                                      const std::vector<Row>& rows, std::size_t vocab_size) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Names are sorted as they stand in the file: `<id>.logits`, not by id alone.
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return rows[a].id + ".logits" < rows[b].id + ".logits";
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::vector<std::uint64_t> offsets(rows.size());
  std::uint64_t end = 0;
  for (const std::size_t row : order) {
    const std::string name = rows[row].id + ".logits";
    if (header.contains(name)) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("two rows have the id '{}'", rows[row].id));
    }
    offsets[row] = end;
    end += std::uint64_t{rows[row].tokens} * vocab_size * sizeof(float);
    header[name] = {{"dtype", "F32"},
                    {"shape", {rows[row].tokens, vocab_size}},
                    {"data_offsets", {offsets[row], end}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    return fail(ErrorKind::invalid_argument, "the id of a row is not UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data starts at a multiple of 8
  const std::string start = little_endian(text.size()) + text;
  for (std::uint64_t& offset : offsets) offset += start.size();

  OLLM_TRY(io::OutputFile file, io::OutputFile::create(path));
  OLLM_TRY_VOID(file.write_at(0, std::as_bytes(std::span(start.data(), start.size()))));
  return LogitsFile(std::move(file), std::move(offsets), vocab_size);
}

Result<void> LogitsFile::write(std::size_t row, std::size_t token, std::span<const float> logits) {
  return file_.write_at(offsets_[row] + std::uint64_t{token} * vocab_size_ * sizeof(float),
                        std::as_bytes(logits));
}

}  // namespace ollm::runtime
