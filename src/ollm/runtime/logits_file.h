// Logits of many rows as one safetensors file, written as they are computed, never held whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/output_file.h"

namespace ollm::runtime {

/// `<id>.logits` [tokens, vocab] F32 for each row, names sorted, no metadata: equal logits give
/// equal files.
class LogitsFile {
 public:
  struct Row {
    std::string id;
    std::size_t tokens = 0;
  };

  /// Errors: those of make_safetensors_header, as where two rows have one id; io.
  static Result<LogitsFile> create(const std::filesystem::path& path, const std::vector<Row>& rows,
                                   std::size_t vocab_size);

  /// The logits of one token of a row, in any order. Errors: io.
  Result<void> write(std::size_t row, std::size_t token, std::span<const float> logits);

  Result<void> finish() { return file_.finish(); }

 private:
  LogitsFile(io::OutputFile file, std::vector<std::uint64_t> offsets, std::size_t vocab_size);

  io::OutputFile file_;
  std::vector<std::uint64_t> offsets_;  // of each row's first byte in the file
  std::size_t vocab_size_;
};

}  // namespace ollm::runtime
