// The tensors of a file of weights as values, so that a test can rename, change and add some.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ollm/checkpoint/safetensors.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/file.h"

namespace ollm::testing {

struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::string bytes;
};

/// In the order of the file's header.
inline std::vector<StoredTensor> read_stored_tensors(const std::filesystem::path& path) {
  std::vector<StoredTensor> out;
  const auto file = io::File::open(path);
  EXPECT_TRUE(file.ok());
  const auto read = checkpoint::read_safetensors_header(*file);
  EXPECT_TRUE(read.ok());
  for (std::size_t i = 0; i < read->header.tensor_count(); ++i) {
    const auto tensor = read->header.tensor(i);
    std::string bytes(tensor.end_bytes - tensor.begin_bytes, '\0');
    EXPECT_TRUE(file->read_at(read->data_offset_bytes + tensor.begin_bytes,
                              std::as_writable_bytes(std::span(bytes)))
                    .ok());
    out.push_back({std::string(tensor.name), tensor.dtype, tensor.shape, std::move(bytes)});
  }
  return out;
}

/// The bytes of a file that holds them, in their order.
inline std::string stored(const std::vector<StoredTensor>& tensors) {
  std::vector<checkpoint::NewTensor> named;
  std::string data;
  for (const StoredTensor& tensor : tensors) {
    named.push_back({tensor.name, tensor.dtype, tensor.shape});
    data += tensor.bytes;
  }
  const auto header = checkpoint::make_safetensors_header(named);
  EXPECT_TRUE(header.ok());
  return *header + data;
}

}  // namespace ollm::testing
