// The header of a safetensors file: every rule of the format and our limits, checked before use.
// Leaves to others: several files as one model (shard_index.h, tensor_index.h), the data itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/tensor/dtype.h"
#include "ollm/tensor/shape.h"

namespace ollm::checkpoint {

/// Source of the format: https://github.com/huggingface/safetensors#format. Where "ours" stands,
/// the format has no limit.
struct SafetensorsLimits {
  static constexpr std::uint64_t kHeaderBytes = 100'000'000;
  static constexpr std::size_t kTensors = 1'000'000;          // ours
  static constexpr std::size_t kMetadataEntries = 1'000'000;  // ours
  static constexpr std::size_t kNameBytes = 1024;             // ours
};

/// One tensor of a header. Borrows its name from the SafetensorsHeader.
struct SafetensorsTensor {
  std::string_view name;
  DType dtype;
  Shape shape;
  std::uint64_t begin_bytes;  // from the first byte behind the header
  std::uint64_t end_bytes;
};

/// A header that keeps all rules: the tensors cover the data exactly, without hole or overlap.
///
/// Compact, as a header may name a million tensors: names stay where they were in the JSON text.
/// Reading one allocates at most three times its size (and some 4 KiB). Constant after parsing.
class SafetensorsHeader {
 public:
  std::size_t tensor_count() const { return records_.size(); }
  /// The tensors in the order of their data; empty ones before others that begin there.
  SafetensorsTensor tensor(std::size_t index) const;

  std::size_t metadata_count() const { return metadata_.size(); }
  /// One entry of `__metadata__`, ordered by key.
  std::pair<std::string_view, std::string_view> metadata(std::size_t index) const;

  std::uint64_t data_bytes() const { return data_bytes_; }

 private:
  friend class SafetensorsParser;

  struct Text {  // a decoded string inside json_
    std::uint32_t offset;
    std::uint32_t size;
  };
  struct Record {
    Text name;
    std::uint32_t first_size;  // index into sizes_
    std::uint8_t rank;
    DType dtype;
    std::uint64_t begin_bytes;
    std::uint64_t end_bytes;
  };
  std::string_view view(Text text) const {
    return std::string_view(json_).substr(text.offset, text.size);
  }

  std::string json_;                 // as read, with escapes of strings decoded in place
  std::deque<Record> records_;       // a deque never moves what it holds: no doubled peak
  std::deque<std::uint64_t> sizes_;  // of all shapes, in the order of the JSON text
  std::deque<std::pair<Text, Text>> metadata_;
  std::uint64_t data_bytes_ = 0;
};

/// Parses the JSON part of a file (the N bytes behind the length) in front of `data_bytes` bytes of
/// data. Takes the text over, as names stay in it.
///
/// Errors: corrupt for every broken rule, with a message of its own that names tensor, found,
/// expected: not UTF-8, not starting with '{', trailing bytes other than spaces, not strict JSON, a
/// duplicate key anywhere, an unknown or missing field of a tensor, metadata that is not text, an
/// unknown dtype, a size or offset that is no non-negative integer, sizes that overflow, an end
/// before its begin, a length that is not that of dtype and shape, a hole, an overlap, data that
/// no tensor covers, or less data than the tensors need. unsupported for dtypes that are not built
/// and for what passes our limits.
Result<SafetensorsHeader> parse_safetensors_header(std::string json, std::uint64_t data_bytes);

/// What a file said about itself before its data.
struct SafetensorsFile {
  SafetensorsHeader header;
  std::uint64_t data_offset_bytes;  // 8 + N
};

/// Reads length and header of a file, nothing else. A file that is something else (a git-LFS
/// pointer, an HTML page, a zip or pickle, GGUF, empty) is refused with a sentence that says what
/// it is and what to do.
/// Errors: as above; io.
Result<SafetensorsFile> read_safetensors_header(const io::File& file);

/// What a file with the name of one is instead, where it never was what its name says. Only told
/// where the first eight bytes cannot be a length: those of a cut file could look like anything.
std::optional<Error> foreign_safetensors(const io::File& file);

}  // namespace ollm::checkpoint
