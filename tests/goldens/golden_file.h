// golden.safetensors: what Transformers computed for the prompts of one model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/safetensors.h"
#include "ollm/io/file.h"

namespace ollm::testing {

class GoldenFile {
 public:
  static Result<GoldenFile> open(const std::filesystem::path& path);

  bool has(const std::string& name) const;
  /// Aborts where the tensor is not there or has another type: a golden is not input.
  std::vector<float> floats(const std::string& name) const;
  std::vector<std::int32_t> ids(const std::string& name) const;

 private:
  GoldenFile(io::File file, checkpoint::SafetensorsFile header);
  std::vector<std::byte> bytes(const std::string& name, DType dtype) const;

  io::File file_;
  checkpoint::SafetensorsFile header_;
};

}  // namespace ollm::testing
