#include "ollm/runtime/logits_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/output_target.h"

namespace ollm::runtime {
namespace {

constexpr std::size_t kMostFiles = 100000;  // of a model's folder that are looked at

// A file or folder, whatever it is called.
using Inode = std::pair<dev_t, ino_t>;

std::optional<Inode> inode_of(const std::filesystem::path& path) {
  struct stat status{};
  if (io::posix().stat(path.c_str(), &status) != 0) return std::nullopt;
  return Inode{status.st_dev, status.st_ino};
}

bool is_file_of(const checkpoint::ModelFolder& folder, const Inode& inode) {
  for (const auto& file : folder.tensors().files())
    if (Inode{file.identity.device, file.identity.inode} == inode) return true;
  std::vector<std::string> names;
  // Beyond the limit the names that came are looked at.
  io::posix().list(folder.canonical_path().c_str(), kMostFiles, &names);
  return std::ranges::any_of(names, [&](const std::string& name) {
    return inode_of(folder.canonical_path() / name) == inode;
  });
}

// By the folders above it, each whatever it is called.
bool lies_in(const std::filesystem::path& path, const Inode& folder) {
  std::string real;
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  if (io::posix().realpath(parent.c_str(), &real) != 0) return false;  // no file will be there
  for (std::filesystem::path above = real;; above = above.parent_path()) {
    if (inode_of(above) == folder) return true;
    if (above == above.parent_path()) return false;
  }
}

}  // namespace

Result<void> check_not_of_model(const checkpoint::ModelFolder& folder,
                                const std::filesystem::path& path) {
  OLLM_TRY(const io::OutputTarget target, io::find_output_target(path));
  const std::optional<Inode> there = inode_of(path);
  if (there && is_file_of(folder, *there))
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: is a file of the model {}, which is only read; give another path",
                            path.native(), folder.path().native()));
  const std::optional<Inode> of_folder = inode_of(folder.canonical_path());
  const bool named =
      target.kind == io::OutputTarget::Kind::nothing || target.kind == io::OutputTarget::Kind::file;
  if (named && of_folder && lies_in(target.path, *of_folder))
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("{}: lies in the folder of the model {}, whose files are only read; give a "
                    "path outside of it",
                    path.native(), folder.path().native()));
  return {};
}

LogitsFile::LogitsFile(io::OutputFile file, std::vector<std::uint64_t> offsets,
                       std::size_t vocab_size)
    : file_(std::move(file)), offsets_(std::move(offsets)), vocab_size_(vocab_size) {}

Result<LogitsFile> LogitsFile::create(const std::filesystem::path& path,
                                      const std::vector<Row>& rows, std::size_t vocab_size,
                                      std::size_t batch) {
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
  const bool in_order = rows.size() == 1 || (batch == 1 && std::ranges::is_sorted(order));
  if (file.in_order_only() && !in_order)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: can be written in order only, and logits of {} rows come in "
                            "another: their names stand sorted; give a file, or rows one by one",
                            path.native(), rows.size()));
  OLLM_TRY_VOID(file.write_at(0, std::as_bytes(std::span(start.data(), start.size()))));
  return LogitsFile(std::move(file), std::move(offsets), vocab_size);
}

Result<void> LogitsFile::write(std::size_t row, std::size_t token, std::span<const float> logits) {
  return file_.write_at(offsets_[row] + std::uint64_t{token} * vocab_size_ * sizeof(float),
                        std::as_bytes(logits));
}

}  // namespace ollm::runtime
