// The bytes of segment files: their header page, the headers of the items in them, and what is in
// commits and notes, with all that must hold before any of it is believed. No input or output.
// Leaves to others: reading a file through (segment_scan.h), writing one (segment_writer.h).
// docs/formats/kv.md describes the same byte by byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/sha256.h"
#include "ollm/base/token_id.h"
#include "ollm/kv/pool.h"

namespace ollm::kv {

/// The unit in which files grow: every item begins at a multiple of it.
inline constexpr std::size_t kPageBytes = io::File::kDirectAlignment;
inline constexpr std::uint32_t kFormatVersion = 1;

/// What cannot be more in a file that one of us wrote, so that nothing is sized by a number that
/// was only read. A commit of more records is written as several items.
inline constexpr std::uint32_t kMaxLayers = 1 << 12;
inline constexpr std::uint32_t kMaxBlockTokens = 1 << 15;
inline constexpr std::uint64_t kMaxBodyBytes = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaxStripeBytes = std::uint64_t{1} << 40;
inline constexpr std::uint64_t kMaxSequence = std::uint64_t{1} << 62;

/// XXH3-128 of bytes that stand at `offset` of a file.
Checksum checksum_at(std::uint64_t file_number, std::uint64_t offset,
                     std::span<const std::byte> bytes);

/// The same of bytes that come piece by piece.
class PartChecksum {
 public:
  PartChecksum(std::uint64_t file_number, std::uint64_t offset);
  ~PartChecksum();
  PartChecksum(const PartChecksum&) = delete;
  PartChecksum& operator=(const PartChecksum&) = delete;
  void add(std::span<const std::byte> bytes);
  Checksum finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

using Page = std::array<std::byte, kPageBytes>;

/// The first page of a file.
struct FileHeader {
  enum class State {
    whole,
    other_version,  // ours, of a program that is older or newer
    damaged,        // nothing that we wrote, or not any more
  };
  State state = State::damaged;
  std::uint32_t version = 0;
  std::uint64_t file_number = 0;
};
Page encode_file_header(std::uint64_t file_number);
FileHeader decode_file_header(std::span<const std::byte, kPageBytes> page);

enum class ItemType : std::uint32_t {
  stripe = 1,  // space for blocks
  commit = 2,  // blocks that count from now on
  uses = 3,    // blocks that were used
  gone = 4,    // blocks that do not count any more
};

/// The beginning of an item. `body_bytes` of body follow, but for a stripe, whose blocks begin with
/// the next page.
struct ItemHeader {
  ItemType type = ItemType::stripe;
  std::uint64_t file_number = 0;
  std::uint64_t offset = 0;    // where it stands
  std::uint64_t bytes = 0;     // of the whole item: whole pages
  std::uint64_t sequence = 0;  // of a commit or a note; of a stripe 0
  std::int64_t time_s = 0;     // when it was written, for people
  std::uint64_t body_bytes = 0;
  std::uint32_t count = 0;   // records, entries of a note, or blocks that a stripe has space for
  std::uint32_t layers = 0;  // of a stripe
  std::uint32_t part_bytes = 0;  // of a stripe
  Digest fingerprint;            // of a commit

  std::uint64_t end() const { return offset + bytes; }
  std::uint64_t data() const { return offset + kPageBytes; }  // of a stripe
  /// From one layer's part to the next, of a stripe.
  std::uint64_t stride() const { return std::uint64_t{count} * part_bytes; }
};
inline constexpr std::size_t kItemHeaderBytes = 128;

/// Nothing where these are not the first bytes of a whole header of an item that stands there.
std::optional<ItemHeader> decode_item_header(std::span<const std::byte> bytes,
                                             std::uint64_t file_number, std::uint64_t offset);

/// When a commit or a note was written. What was used last is told by the sequence, which counts
/// those of all files that their writer had seen; clocks go back. The time, in seconds since 1970,
/// is for people.
struct Stamp {
  std::uint64_t sequence = 0;
  std::int64_t time_s = 0;
};

/// A block that is not to be found any more, where it stood.
struct GoneBlock {
  Digest id;
  std::uint64_t file_number = 0;
  std::uint64_t offset = 0;  // of its first part
};

/// Whole items, ready to be written at `offset`; at most kMaxBodyBytes of body.
///@{
std::vector<std::byte> encode_stripe(std::uint64_t file_number, std::uint64_t offset,
                                     std::uint32_t layers, std::uint32_t part_bytes,
                                     std::uint32_t capacity);  // its first page alone
std::vector<std::byte> encode_commit(std::uint64_t file_number, std::uint64_t offset,
                                     const Stamp& stamp, const Digest& fingerprint,
                                     std::span<const BlockRecord> records);
std::vector<std::byte> encode_uses(std::uint64_t file_number, std::uint64_t offset,
                                   const Stamp& stamp, std::span<const Digest> ids);
std::vector<std::byte> encode_gone(std::uint64_t file_number, std::uint64_t offset,
                                   const Stamp& stamp, std::span<const GoneBlock> blocks);
///@}

/// Gives an item's header the checksum of what it says: for tests, that change what it says.
void seal_item_header(std::span<std::byte> item);

/// Bytes of a record in a commit's body, and how many of these records one commit takes.
std::uint64_t record_bytes(const BlockRecord& record);
std::size_t records_in_one_commit(std::span<const BlockRecord> records);
/// How many entries one note takes.
inline constexpr std::size_t kMaxNoteEntries = 4096;

/// Where a record stands in its file.
struct RecordPlace {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
};

/// The record whose bytes stand at `offset` of its file, its place without a File; nothing where
/// they are not what was written, or say what cannot be: a place that is not before the record.
std::optional<BlockRecord> decode_record(std::span<const std::byte> bytes,
                                         std::uint64_t file_number, std::uint64_t offset);

/// The records of a commit that hold, `item` being the whole of it.
void for_each_record(const ItemHeader& header, std::span<const std::byte> item,
                     FunctionRef<void(const RecordPlace& place, const BlockRecord& record)> visit);

/// The entries of a whole note; empty where its checksum does not hold.
///@{
std::vector<Digest> decode_uses(const ItemHeader& header, std::span<const std::byte> item);
std::vector<GoneBlock> decode_gone(const ItemHeader& header, std::span<const std::byte> item);
///@}

}  // namespace ollm::kv
