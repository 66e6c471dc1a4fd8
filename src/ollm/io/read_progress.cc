#include "ollm/io/read_progress.h"

#include <cerrno>

namespace ollm::io {
ReadProgress::Next ReadProgress::take(std::int64_t result) {
  if (result > 0) {
    const std::size_t reached = done_ + static_cast<std::size_t>(result);
    // A direct read that ends between two sectors has met the end of the file, or was torn: then
    // it goes on from the last whole one, until that moves nothing any more.
    const std::size_t over = reached < size_ ? reached % alignment_ : 0;
    const bool stuck = reached - over == done_;
    idle_ = stuck ? idle_ + 1 : 0;
    if (over != 0 && (offset_ + reached >= file_size_ || idle_ > kMaxIdleCalls)) {
      done_ = reached;
      return Next::finished;
    }
    done_ = reached - over;
    return done_ == size_ ? Next::finished : Next::again;
  }
  if (result == 0) return Next::finished;
  error_ = static_cast<int>(-result);
  if ((error_ != EINTR && error_ != EAGAIN) || ++idle_ > kMaxIdleCalls) return Next::failed;
  return idle_ > kEagerCalls ? Next::later : Next::again;
}

}  // namespace ollm::io
