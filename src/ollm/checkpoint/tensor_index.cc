#include "ollm/checkpoint/tensor_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "ollm/base/checked_math.h"
#include "ollm/base/json_cursor.h"

namespace ollm::checkpoint {
namespace {

// Names of tensors differ in the middle (a layer's number, a word): the longer what they share at
// both ends, the more alike they are.
std::size_t likeness(std::string_view a, std::string_view b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  std::size_t front = 0;
  while (front < shorter && a[front] == b[front]) ++front;
  std::size_t back = 0;
  while (back < shorter - front && a[a.size() - 1 - back] == b[b.size() - 1 - back]) ++back;
  return front + back;
}

}  // namespace

Result<TensorIndex> TensorIndex::make(std::vector<TensorInfo> tensors,
                                      std::vector<WeightFile> files) {
  TensorIndex index;
  index.tensors_ = std::move(tensors);
  index.files_ = std::move(files);
  for (const TensorInfo& tensor : index.tensors_) {
    if (tensor.file >= index.files_.size())
      return fail(ErrorKind::invalid_argument,
                  fmt::format("tensor {}: file {} of {}", quote_name(tensor.name), tensor.file,
                              index.files_.size()));
    const auto bytes = ollm::size_bytes(tensor.dtype, tensor.shape);
    if (bytes != tensor.size_bytes)
      return fail(ErrorKind::corrupt,
                  fmt::format("tensor {}: {} {} does not take {} bytes", quote_name(tensor.name),
                              to_string(tensor.dtype), to_string(tensor.shape), tensor.size_bytes));
    const auto total = checked_add(index.total_bytes_, tensor.size_bytes);
    if (!total)
      return fail(ErrorKind::corrupt,
                  fmt::format("tensor {}: all together take more than 2^64 - 1 bytes",
                              quote_name(tensor.name)));
    index.total_bytes_ = *total;
  }
  std::sort(index.tensors_.begin(), index.tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::tie(a.file, a.offset_bytes, a.size_bytes, a.name) <
                     std::tie(b.file, b.offset_bytes, b.size_bytes, b.name);
            });
  const auto name = [&](std::uint32_t i) -> const std::string& { return index.tensors_[i].name; };
  index.by_name_.resize(index.tensors_.size());
  for (std::size_t i = 0; i < index.by_name_.size(); ++i)
    index.by_name_[i] = static_cast<std::uint32_t>(i);
  std::sort(index.by_name_.begin(), index.by_name_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return name(a) < name(b); });
  const auto twice =
      std::adjacent_find(index.by_name_.begin(), index.by_name_.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return name(a) == name(b); });
  if (twice != index.by_name_.end()) {
    const auto file = [&](std::uint32_t i) {
      return printable(index.files_[index.tensors_[i].file].path.native());
    };
    return fail(ErrorKind::corrupt,
                fmt::format("tensor {} stands twice: in {} and in {}", quote_name(name(*twice)),
                            file(*twice), file(twice[1])));
  }
  return index;
}

const TensorInfo* TensorIndex::find(std::string_view name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [this](std::uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  if (found == by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

Result<const TensorInfo*> TensorIndex::require(std::string_view name) const {
  if (const TensorInfo* found = find(name)) return found;
  const TensorInfo* nearest = nullptr;
  std::size_t best = name.size() / 2;  // less alike than that says nothing
  for (const TensorInfo& tensor : tensors_)
    if (const std::size_t alike = likeness(tensor.name, name); alike > best) {
      best = alike;
      nearest = &tensor;
    }
  if (nearest == nullptr)
    return fail(ErrorKind::not_found, fmt::format("the model has no tensor {}", quote_name(name)));
  return fail(ErrorKind::not_found,
              fmt::format("the model has no tensor {}; the most similar is {}", quote_name(name),
                          quote_name(nearest->name)));
}

}  // namespace ollm::checkpoint
