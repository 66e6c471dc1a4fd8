// Logits of many rows as one safetensors file, written as they are computed, never held whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/io/output_file.h"

namespace ollm::runtime {

/// That writing to `path` leaves the model alone: it is none of the folder's files, by whatever
/// name or link, and does not lie in the folder. Errors: invalid_argument, saying so.
Result<void> check_not_of_model(const checkpoint::ModelFolder& folder,
                                const std::filesystem::path& path);

/// `<id>.logits` [tokens, vocab] F32 for each row, names sorted, no metadata: equal logits give
/// equal files.
class LogitsFile {
 public:
  struct Row {
    std::string id;
    std::size_t tokens = 0;
  };

  /// `batch`: as many rows at once come in turn; rows and their tokens come in order else.
  /// Errors: those of make_safetensors_header, as where two rows have one id; those of
  /// OutputFile::create; invalid_argument where `path` takes bytes in order only (a pipe) and they
  /// will come in another.
  static Result<LogitsFile> create(const std::filesystem::path& path, const std::vector<Row>& rows,
                                   std::size_t vocab_size, std::size_t batch);

  /// The logits of one token of a row, in the order that create was told of. Errors: io.
  Result<void> write(std::size_t row, std::size_t token, std::span<const float> logits);

  Result<void> finish() { return file_.finish(); }

 private:
  LogitsFile(io::OutputFile file, std::vector<std::uint64_t> offsets, std::size_t vocab_size);

  io::OutputFile file_;
  std::vector<std::uint64_t> offsets_;  // of each row's first byte in the file
  std::size_t vocab_size_;
};

}  // namespace ollm::runtime
