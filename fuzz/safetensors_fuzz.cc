// Any bytes as a safetensors file, and as its header alone: refused, or a header that keeps every
// promise of checkpoint/safetensors.h.
// links: ollm_checkpoint
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/checkpoint/safetensors.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace {

// A file system of one file, in memory.
class OneFile final : public ollm::io::SystemCalls {
 public:
  explicit OneFile(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  int open(const char*, int, mode_t) override { return 3; }
  int dup(int) override { return refuse(); }
  int close(int) override { return 0; }
  ssize_t pread(int, void* buffer, std::size_t count, off_t offset) override {
    const auto at = static_cast<std::size_t>(offset);
    if (at >= bytes_.size()) return 0;
    const std::size_t moved = std::min(count, bytes_.size() - at);
    std::memcpy(buffer, bytes_.data() + at, moved);
    return static_cast<ssize_t>(moved);
  }
  int fstat(int, struct stat* out) override {
    *out = {};
    out->st_mode = S_IFREG | 0600;
    out->st_size = static_cast<off_t>(bytes_.size());
    return 0;
  }
  int stat(const char*, struct stat* out) override { return fstat(3, out); }
  ssize_t pwrite(int, const void*, std::size_t, off_t) override { return refuse(); }
  ssize_t write(int, const void*, std::size_t) override { return refuse(); }
  int fchmod(int, mode_t) override { return refuse(); }
  int lstat(const char*, struct stat*) override { return refuse(); }
  int fsync(int) override { return refuse(); }
  int fdatasync(int) override { return refuse(); }
  int ftruncate(int, off_t) override { return refuse(); }
  int fallocate(int, int, off_t, off_t) override { return refuse(); }
  int fadvise(int, off_t, off_t, int) override { return 0; }
  int rename(const char*, const char*) override { return refuse(); }
  int unlink(const char*) override { return refuse(); }
  int mkdir(const char*, mode_t) override { return refuse(); }
  int flock(int, int) override { return refuse(); }
  int statvfs(const char*, struct statvfs*) override { return refuse(); }
  int readlink(const char*, std::string*) override { return refuse(); }
  int realpath(const char*, std::string*) override { return refuse(); }
  int list(const char*, std::size_t, std::vector<std::string>*) override { return refuse(); }

 private:
  static int refuse() {
    errno = EROFS;
    return -1;
  }
  std::span<const std::uint8_t> bytes_;
};

void check_promises(const ollm::checkpoint::SafetensorsHeader& header) {
  std::uint64_t covered = 0;
  for (std::size_t i = 0; i < header.tensor_count(); ++i) {
    const auto tensor = header.tensor(i);
    OLLM_CHECK(tensor.begin_bytes == covered);
    OLLM_CHECK(tensor.end_bytes - tensor.begin_bytes == size_bytes(tensor.dtype, tensor.shape));
    OLLM_CHECK(tensor.name.size() <= ollm::checkpoint::SafetensorsLimits::kNameBytes);
    OLLM_CHECK(tensor.name.find('\0') == std::string_view::npos);
    covered = tensor.end_bytes;
  }
  OLLM_CHECK(covered == header.data_bytes());
  for (std::size_t i = 1; i < header.metadata_count(); ++i)
    OLLM_CHECK(header.metadata(i - 1).first < header.metadata(i).first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OneFile calls({data, size});
  const auto file = ollm::io::File::open("model.safetensors", ollm::io::Access::buffered, calls);
  OLLM_CHECK(file.ok());
  const auto read = ollm::checkpoint::read_safetensors_header(*file);
  if (read.ok()) check_promises(read->header);

  // The JSON alone, so that a mutation of it needs no matching length in front.
  std::string json(reinterpret_cast<const char*>(data), size);
  for (const std::uint64_t data_bytes : {0u, 16u}) {
    const auto header = ollm::checkpoint::parse_safetensors_header(json, data_bytes);
    if (header.ok()) check_promises(*header);
  }
  return 0;
}
