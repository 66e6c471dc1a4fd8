#include "ollm/runtime/logits_file.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "ollm/checkpoint/safetensors_writer.h"

namespace ollm::runtime {

LogitsFile::LogitsFile(io::OutputFile file, std::vector<std::uint64_t> offsets,
                       std::size_t vocab_size)
    : file_(std::move(file)), offsets_(std::move(offsets)), vocab_size_(vocab_size) {}

Result<LogitsFile> LogitsFile::create(const std::filesystem::path& path,
                                      const std::vector<Row>& rows, std::size_t vocab_size) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.push_back(row.id + ".logits");
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Names are sorted as they stand in the file: `<id>.logits`, not by id alone.
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return names[a] < names[b]; });

  std::vector<checkpoint::NewTensor> tensors;
  for (const std::size_t row : order)
    tensors.push_back({names[row], DType::f32, Shape{rows[row].tokens, vocab_size}});
  OLLM_TRY(const std::string start, checkpoint::make_safetensors_header(tensors));
  std::vector<std::uint64_t> offsets(rows.size());
  std::uint64_t end = start.size();
  for (const std::size_t row : order) {
    offsets[row] = end;
    end += std::uint64_t{rows[row].tokens} * vocab_size * sizeof(float);
  }

  OLLM_TRY(io::OutputFile file, io::OutputFile::create(path));
  OLLM_TRY_VOID(file.write_at(0, std::as_bytes(std::span(start.data(), start.size()))));
  return LogitsFile(std::move(file), std::move(offsets), vocab_size);
}

Result<void> LogitsFile::write(std::size_t row, std::size_t token, std::span<const float> logits) {
  return file_.write_at(offsets_[row] + std::uint64_t{token} * vocab_size_ * sizeof(float),
                        std::as_bytes(logits));
}

}  // namespace ollm::runtime
