#include "ollm/server/answer_room.h"

#include <mutex>

namespace ollm::server {

struct RoomShare::Room {
  explicit Room(std::size_t bytes) : capacity(bytes) {}

  bool take(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    if (bytes > capacity - taken) return false;
    taken += bytes;
    return true;
  }
  void give_back(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    taken -= bytes;
  }

  const std::size_t capacity;
  std::mutex mutex;
  std::size_t taken = 0;  // guarded by mutex
};

RoomShare::~RoomShare() { room_->give_back(bytes_); }

bool RoomShare::grow(std::size_t bytes) {
  if (!room_->take(bytes)) return false;
  bytes_ += bytes;
  return true;
}

AnswerRoom::AnswerRoom(std::size_t capacity_bytes)
    : room_(std::make_shared<RoomShare::Room>(capacity_bytes)) {}

std::size_t AnswerRoom::capacity() const { return room_->capacity; }

std::shared_ptr<RoomShare> AnswerRoom::claim(std::size_t bytes) {
  std::shared_ptr<RoomShare> share(new RoomShare(room_));
  return share->grow(bytes) ? share : nullptr;
}

}  // namespace ollm::server
