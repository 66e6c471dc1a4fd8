#include "ollm/checkpoint/safetensors_writer.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <unordered_set>

#include "ollm/base/checked_math.h"
#include "ollm/base/json_cursor.h"
#include "ollm/checkpoint/safetensors.h"

namespace ollm::checkpoint {
namespace {

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

Result<void> check_name(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("tensor {}: its name {}", quote_name(name), why));
  };
  if (name == "__metadata__") return refuse("is reserved");
  if (name.size() > SafetensorsLimits::kNameBytes) return refuse("is too long");
  if (name.find('\0') != std::string_view::npos) return refuse("has a NUL in it");
  if (!check_utf8(name).ok()) return refuse("is not UTF-8");
  return {};
}

}  // namespace

Result<std::string> make_safetensors_header(std::span<const NewTensor> tensors) {
  static_assert(std::endian::native == std::endian::little, "the length is little-endian");
  std::unordered_set<std::string_view> names;
  std::string json = "{";
  std::uint64_t offset = 0;
  for (const NewTensor& tensor : tensors) {
    OLLM_TRY_VOID(check_name(tensor.name));
    if (!names.insert(tensor.name).second)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("tensor {}: stands twice", quote_name(tensor.name)));
    const auto bytes = size_bytes(tensor.dtype, tensor.shape);
    const auto end = bytes ? checked_add(offset, *bytes) : std::nullopt;
    if (!end)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("tensor {}: {} {} is too large", quote_name(tensor.name),
                              to_string(tensor.dtype), to_string(tensor.shape)));
    std::string shape;
    for (const std::uint64_t size : tensor.shape.sizes())
      shape += fmt::format("{}{}", shape.empty() ? "" : ",", size);
    json += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json.size() == 1 ? "" : ",", json_text(tensor.name),
                        to_string(tensor.dtype), shape, offset, *end);
    offset = *end;
  }
  json += '}';
  const std::uint64_t length = round_up(json.size(), 8);
  if (length > SafetensorsLimits::kHeaderBytes || names.size() > SafetensorsLimits::kTensors)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} tensors make too large a header", names.size()));
  json.resize(length, ' ');
  std::string out(sizeof(length), '\0');
  std::memcpy(out.data(), &length, sizeof(length));
  return out + json;
}

}  // namespace ollm::checkpoint
