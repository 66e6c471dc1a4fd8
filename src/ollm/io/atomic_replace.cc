#include "ollm/io/atomic_replace.h"

#include <span>

#include "ollm/io/output_file.h"

namespace ollm::io {

Result<void> atomic_replace(const std::filesystem::path& path, std::string_view content,
                            mode_t mode, SystemCalls& calls) {
  OLLM_TRY(OutputFile file, OutputFile::create(path, mode, calls));
  OLLM_TRY_VOID(file.write_at(0, std::as_bytes(std::span(content))));
  return file.finish();
}

}  // namespace ollm::io
