// How many bytes answers may hold, those of all requests together. Leaves to others: how many an
// answer takes (answer_size.h).
#pragma once

#include <cstddef>
#include <memory>

namespace ollm::server {

class AnswerRoom;

/// The right to hold so many bytes; given back by whoever drops it last.
class RoomShare {
 public:
  ~RoomShare();
  RoomShare(const RoomShare&) = delete;
  RoomShare& operator=(const RoomShare&) = delete;

  /// So many more; false, and nothing is changed, where they are not left.
  bool grow(std::size_t bytes);

 private:
  friend class AnswerRoom;
  struct Room;
  explicit RoomShare(std::shared_ptr<Room> room) : room_(std::move(room)) {}

  const std::shared_ptr<Room> room_;  // shared: the last answer may leave behind the server
  std::size_t bytes_ = 0;
};

/// Any thread; a share is of one at a time.
class AnswerRoom {
 public:
  explicit AnswerRoom(std::size_t capacity_bytes);

  std::size_t capacity() const;
  /// Nothing where so many are not left. Shared: by who makes an answer and by the connection,
  /// which holds it until it has left.
  std::shared_ptr<RoomShare> claim(std::size_t bytes);

 private:
  const std::shared_ptr<RoomShare::Room> room_;
};

}  // namespace ollm::server
