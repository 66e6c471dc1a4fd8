#include "tests/goldens/golden_file.h"

#include <cstring>
#include <utility>

#include "ollm/base/check.h"

namespace ollm::testing {

GoldenFile::GoldenFile(io::File file, checkpoint::SafetensorsFile header)
    : file_(std::move(file)), header_(std::move(header)) {}

Result<GoldenFile> GoldenFile::open(const std::filesystem::path& path) {
  OLLM_TRY(io::File file, io::File::open(path));
  OLLM_TRY(checkpoint::SafetensorsFile header, checkpoint::read_safetensors_header(file));
  return GoldenFile(std::move(file), std::move(header));
}

bool GoldenFile::has(const std::string& name) const {
  for (std::size_t i = 0; i < header_.header.tensor_count(); ++i)
    if (header_.header.tensor(i).name == name) return true;
  return false;
}

std::vector<std::byte> GoldenFile::bytes(const std::string& name, DType dtype) const {
  for (std::size_t i = 0; i < header_.header.tensor_count(); ++i) {
    const checkpoint::SafetensorsTensor tensor = header_.header.tensor(i);
    if (tensor.name != name) continue;
    OLLM_CHECK(tensor.dtype == dtype);
    std::vector<std::byte> out(tensor.end_bytes - tensor.begin_bytes);
    OLLM_CHECK(file_.read_at(header_.data_offset_bytes + tensor.begin_bytes, out).ok());
    return out;
  }
  OLLM_CHECK(false);
  return {};
}

std::vector<float> GoldenFile::floats(const std::string& name) const {
  const std::vector<std::byte> raw = bytes(name, DType::f32);
  std::vector<float> out(raw.size() / sizeof(float));
  std::memcpy(out.data(), raw.data(), raw.size());
  return out;
}

std::vector<std::int32_t> GoldenFile::ids(const std::string& name) const {
  const std::vector<std::byte> raw = bytes(name, DType::i64);
  std::vector<std::int64_t> wide(raw.size() / sizeof(std::int64_t));
  std::memcpy(wide.data(), raw.data(), raw.size());
  return {wide.begin(), wide.end()};
}

}  // namespace ollm::testing
