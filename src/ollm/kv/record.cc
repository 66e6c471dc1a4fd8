#include "ollm/kv/record.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm::kv {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers stand as they are in memory");

constexpr std::string_view kFileMagic = "ollmkv/f";
constexpr std::string_view kItemMagic = "ollmkv/i";
constexpr std::size_t kHeaderChecksum = kItemHeaderBytes - 8;  // where it stands
constexpr std::size_t kBodyChecksum = 96;                      // in the header of a note
constexpr std::size_t kRecordHead = 120;  // bytes of a record before its tokens
constexpr std::size_t kRecordChecksum = 104;
constexpr std::size_t kGoneBytes = 48;

// Of bytes that stand there.
XXH64_hash_t seed_of(std::uint64_t file_number, std::uint64_t offset) {
  const std::uint64_t place[] = {file_number, offset};
  return XXH3_64bits(place, sizeof place);
}

// Of nothing too, which memcpy does not take from nowhere.
void copy_bytes(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

template <typename T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

template <typename T>
T get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

bool has_magic(const std::byte* at, std::string_view magic) {
  return std::memcmp(at, magic.data(), magic.size()) == 0;
}

void put_header(std::byte* at, const ItemHeader& header) {
  std::memcpy(at, kItemMagic.data(), kItemMagic.size());
  put(at + 8, header.file_number);
  put(at + 16, header.offset);
  put(at + 24, header.bytes);
  put(at + 32, static_cast<std::uint32_t>(header.type));
  put(at + 36, header.count);
  put(at + 40, header.sequence);
  put(at + 48, header.layers);
  put(at + 52, header.part_bytes);
  put(at + 56, header.body_bytes);
  put(at + 64, header.fingerprint);
  put(at + 112, header.time_s);
  seal_item_header({at, kItemHeaderBytes});
}

// An item of `body_bytes` of body, which is still to be filled.
std::vector<std::byte> make_item(ItemHeader* header) {
  OLLM_CHECK(header->body_bytes <= kMaxBodyBytes);
  header->bytes = round_up(kItemHeaderBytes + header->body_bytes, kPageBytes);
  return std::vector<std::byte>(header->bytes);
}

Checksum body_checksum(const ItemHeader& header, std::span<const std::byte> item) {
  return checksum_at(header.file_number, header.offset,
                     item.subspan(kItemHeaderBytes, header.body_bytes));
}

// Notes have one checksum of their body, which stands in the header and is covered by its own.
void finish_note(std::vector<std::byte>& item, const ItemHeader& header) {
  put(item.data() + kBodyChecksum, body_checksum(header, item));
  put_header(item.data(), header);
}

bool note_holds(const ItemHeader& header, std::span<const std::byte> item) {
  return item.size() >= kItemHeaderBytes + header.body_bytes &&
         get<Checksum>(item.data() + kBodyChecksum) == body_checksum(header, item);
}

std::uint64_t record_bytes(std::uint64_t tokens, std::uint64_t layers) {
  return kRecordHead + round_up(tokens * sizeof(TokenId), 8) + layers * sizeof(Checksum);
}

// Of all of the record but the checksum itself.
Checksum record_checksum(std::uint64_t file_number, std::uint64_t offset,
                         std::span<const std::byte> bytes) {
  std::vector<std::byte> copy(bytes.begin(), bytes.end());
  std::memset(copy.data() + kRecordChecksum, 0, sizeof(Checksum));
  return checksum_at(file_number, offset, copy);
}

void put_record(std::span<std::byte> out, std::uint64_t file_number, std::uint64_t offset,
                const BlockRecord& record) {
  std::byte* const at = out.data();
  put(at, static_cast<std::uint32_t>(out.size()));
  put(at + 4, record.group);
  put(at + 8, static_cast<std::uint32_t>(record.tokens.size()));
  put(at + 12, record.place.layers);
  put(at + 16, record.place.offset);
  put(at + 24, record.place.stride);
  put(at + 32, record.place.part_bytes);
  put(at + 36, static_cast<std::uint32_t>(record.kind));
  put(at + 40, record.id);
  put(at + 72, record.parent);
  const std::size_t token_bytes = record.tokens.size() * sizeof(TokenId);
  copy_bytes(at + kRecordHead, record.tokens.data(), token_bytes);
  copy_bytes(at + kRecordHead + round_up(token_bytes, 8), record.checksums.data(),
             record.checksums.size() * sizeof(Checksum));
  put(at + kRecordChecksum, record_checksum(file_number, offset, out));
}

bool is_whole_pages(std::uint64_t bytes) { return bytes % kPageBytes == 0; }

// That a block's parts stand one after the other, between the file's header and `end`.
bool is_possible(const BlockPlace& place, std::uint64_t end) {
  if (place.layers == 0 || place.layers > kMaxLayers || place.part_bytes == 0) return false;
  if (!is_whole_pages(place.offset) || !is_whole_pages(place.stride) ||
      !is_whole_pages(place.part_bytes) || place.offset < kPageBytes)
    return false;
  if (place.layers > 1 && place.stride < place.part_bytes) return false;
  const auto span = checked_mul(place.stride, place.layers - 1);
  if (!span) return false;
  const auto last = checked_add(place.offset, *span);
  const auto behind = last ? checked_add(*last, place.part_bytes) : std::nullopt;
  return behind && *behind <= end;
}

// That what a header says fits together; its checksum holds already.
bool is_possible(const ItemHeader& header) {
  if (header.bytes == 0 || !is_whole_pages(header.bytes) || header.sequence > kMaxSequence ||
      !checked_add(header.offset, header.bytes))
    return false;
  const auto notes_bytes = [&](std::size_t entry) {
    return header.count <= kMaxNoteEntries && header.body_bytes == header.count * entry;
  };
  switch (header.type) {
    case ItemType::stripe: {
      if (header.layers == 0 || header.layers > kMaxLayers || header.part_bytes == 0 ||
          !is_whole_pages(header.part_bytes) || header.count == 0)
        return false;
      const auto data = checked_mul(header.stride(), header.layers);
      return data && *data <= kMaxStripeBytes && header.bytes == kPageBytes + *data;
    }
    case ItemType::uses:
      if (!notes_bytes(sizeof(Digest))) return false;
      break;
    case ItemType::gone:
      if (!notes_bytes(kGoneBytes)) return false;
      break;
    case ItemType::commit:
      break;
    default:
      return false;
  }
  return header.body_bytes <= kMaxBodyBytes &&
         header.bytes == round_up(kItemHeaderBytes + header.body_bytes, kPageBytes);
}

}  // namespace

Checksum checksum_at(std::uint64_t file_number, std::uint64_t offset,
                     std::span<const std::byte> bytes) {
  const XXH128_hash_t hash =
      XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed_of(file_number, offset));
  return {.low = hash.low64, .high = hash.high64};
}

struct PartChecksum::State {
  XXH3_state_t* hash = XXH3_createState();
};

PartChecksum::PartChecksum(std::uint64_t file_number, std::uint64_t offset)
    : state_(std::make_unique<State>()) {
  OLLM_CHECK(state_->hash != nullptr &&
             XXH3_128bits_reset_withSeed(state_->hash, seed_of(file_number, offset)) == XXH_OK);
}

PartChecksum::~PartChecksum() { XXH3_freeState(state_->hash); }

void PartChecksum::add(std::span<const std::byte> bytes) {
  OLLM_CHECK(XXH3_128bits_update(state_->hash, bytes.data(), bytes.size()) == XXH_OK);
}

Checksum PartChecksum::finish() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->hash);
  return {.low = hash.low64, .high = hash.high64};
}

Page encode_file_header(std::uint64_t file_number) {
  Page page{};
  std::memcpy(page.data(), kFileMagic.data(), kFileMagic.size());
  put(page.data() + 8, kFormatVersion);
  put(page.data() + 12, static_cast<std::uint32_t>(kPageBytes));
  put(page.data() + 16, file_number);
  put(page.data() + kPageBytes - 8, XXH3_64bits(page.data(), kPageBytes - 8));
  return page;
}

FileHeader decode_file_header(std::span<const std::byte, kPageBytes> page) {
  FileHeader out;
  if (!has_magic(page.data(), kFileMagic)) return out;
  out.version = get<std::uint32_t>(page.data() + 8);
  if (out.version != kFormatVersion) {
    out.state = FileHeader::State::other_version;
    return out;
  }
  if (get<std::uint64_t>(page.data() + kPageBytes - 8) !=
          XXH3_64bits(page.data(), kPageBytes - 8) ||
      get<std::uint32_t>(page.data() + 12) != kPageBytes)
    return out;
  out.file_number = get<std::uint64_t>(page.data() + 16);
  out.state = FileHeader::State::whole;
  return out;
}

std::optional<ItemHeader> decode_item_header(std::span<const std::byte> bytes,
                                             std::uint64_t file_number, std::uint64_t offset) {
  if (bytes.size() < kItemHeaderBytes || !has_magic(bytes.data(), kItemMagic)) return std::nullopt;
  const std::byte* const at = bytes.data();
  if (get<std::uint64_t>(at + kHeaderChecksum) != XXH3_64bits(at, kHeaderChecksum))
    return std::nullopt;
  const ItemHeader header{.type = static_cast<ItemType>(get<std::uint32_t>(at + 32)),
                          .file_number = get<std::uint64_t>(at + 8),
                          .offset = get<std::uint64_t>(at + 16),
                          .bytes = get<std::uint64_t>(at + 24),
                          .sequence = get<std::uint64_t>(at + 40),
                          .time_s = get<std::int64_t>(at + 112),
                          .body_bytes = get<std::uint64_t>(at + 56),
                          .count = get<std::uint32_t>(at + 36),
                          .layers = get<std::uint32_t>(at + 48),
                          .part_bytes = get<std::uint32_t>(at + 52),
                          .fingerprint = get<Digest>(at + 64)};
  if (header.file_number != file_number || header.offset != offset || !is_possible(header))
    return std::nullopt;
  return header;
}

std::vector<std::byte> encode_stripe(std::uint64_t file_number, std::uint64_t offset,
                                     std::uint32_t layers, std::uint32_t part_bytes,
                                     std::uint32_t capacity) {
  ItemHeader header{.type = ItemType::stripe,
                    .file_number = file_number,
                    .offset = offset,
                    .count = capacity,
                    .layers = layers,
                    .part_bytes = part_bytes,
                    .fingerprint = {}};
  header.bytes = kPageBytes + header.stride() * layers;
  OLLM_CHECK(is_possible(header));
  std::vector<std::byte> page(kPageBytes);
  put_header(page.data(), header);
  return page;
}

std::vector<std::byte> encode_commit(std::uint64_t file_number, std::uint64_t offset,
                                     const Stamp& stamp, const Digest& fingerprint,
                                     std::span<const BlockRecord> records) {
  ItemHeader header{.type = ItemType::commit,
                    .file_number = file_number,
                    .offset = offset,
                    .sequence = stamp.sequence,
                    .time_s = stamp.time_s,
                    .count = static_cast<std::uint32_t>(records.size()),
                    .fingerprint = fingerprint};
  for (const BlockRecord& record : records) header.body_bytes += record_bytes(record);
  std::vector<std::byte> item = make_item(&header);
  std::size_t at = kItemHeaderBytes;
  for (const BlockRecord& record : records) {
    const std::size_t bytes = record_bytes(record);
    put_record(std::span(item).subspan(at, bytes), file_number, offset + at, record);
    at += bytes;
  }
  put_header(item.data(), header);
  return item;
}

std::vector<std::byte> encode_uses(std::uint64_t file_number, std::uint64_t offset,
                                   const Stamp& stamp, std::span<const Digest> ids) {
  ItemHeader header{.type = ItemType::uses,
                    .file_number = file_number,
                    .offset = offset,
                    .sequence = stamp.sequence,
                    .time_s = stamp.time_s,
                    .body_bytes = ids.size_bytes(),
                    .count = static_cast<std::uint32_t>(ids.size()),
                    .fingerprint = {}};
  std::vector<std::byte> item = make_item(&header);
  copy_bytes(item.data() + kItemHeaderBytes, ids.data(), ids.size_bytes());
  finish_note(item, header);
  return item;
}

std::vector<std::byte> encode_gone(std::uint64_t file_number, std::uint64_t offset,
                                   const Stamp& stamp, std::span<const GoneBlock> blocks) {
  ItemHeader header{.type = ItemType::gone,
                    .file_number = file_number,
                    .offset = offset,
                    .sequence = stamp.sequence,
                    .time_s = stamp.time_s,
                    .body_bytes = blocks.size() * kGoneBytes,
                    .count = static_cast<std::uint32_t>(blocks.size()),
                    .fingerprint = {}};
  std::vector<std::byte> item = make_item(&header);
  std::byte* at = item.data() + kItemHeaderBytes;
  for (const GoneBlock& block : blocks) {
    put(at, block.id);
    put(at + 32, block.file_number);
    put(at + 40, block.offset);
    at += kGoneBytes;
  }
  finish_note(item, header);
  return item;
}

void seal_item_header(std::span<std::byte> item) {
  put(item.data() + kHeaderChecksum, XXH3_64bits(item.data(), kHeaderChecksum));
}

std::uint64_t record_bytes(const BlockRecord& record) {
  OLLM_CHECK(record.tokens.size() <= kMaxBlockTokens && record.place.layers <= kMaxLayers &&
             record.checksums.size() == record.place.layers);
  return record_bytes(record.tokens.size(), record.checksums.size());
}

std::size_t records_in_one_commit(std::span<const BlockRecord> records) {
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  for (const BlockRecord& record : records) {
    bytes += record_bytes(record);
    if (bytes > kMaxBodyBytes) break;
    ++count;
  }
  return count;
}

std::optional<BlockRecord> decode_record(std::span<const std::byte> bytes,
                                         std::uint64_t file_number, std::uint64_t offset) {
  if (bytes.size() < kRecordHead) return std::nullopt;
  const std::byte* const at = bytes.data();
  const auto tokens = get<std::uint32_t>(at + 8);
  const auto layers = get<std::uint32_t>(at + 12);
  const auto kind = get<std::uint32_t>(at + 36);
  if (kind > static_cast<std::uint32_t>(BlockKind::states)) return std::nullopt;
  if (tokens == 0 || tokens > kMaxBlockTokens || layers > kMaxLayers ||
      get<std::uint32_t>(at) != bytes.size() || record_bytes(tokens, layers) != bytes.size() ||
      get<Checksum>(at + kRecordChecksum) != record_checksum(file_number, offset, bytes))
    return std::nullopt;
  BlockRecord record{.id = get<Digest>(at + 40),
                     .parent = get<Digest>(at + 72),
                     .group = get<std::uint32_t>(at + 4),
                     .tokens = std::vector<TokenId>(tokens),
                     .place = {.file_number = file_number,
                               .offset = get<std::uint64_t>(at + 16),
                               .stride = get<std::uint64_t>(at + 24),
                               .part_bytes = get<std::uint32_t>(at + 32),
                               .layers = layers},
                     .checksums = std::vector<Checksum>(layers),
                     .kind = static_cast<BlockKind>(kind)};
  if (!is_possible(record.place, offset)) return std::nullopt;
  const std::size_t token_bytes = tokens * sizeof(TokenId);
  copy_bytes(record.tokens.data(), at + kRecordHead, token_bytes);
  copy_bytes(record.checksums.data(), at + kRecordHead + round_up(token_bytes, 8),
             layers * sizeof(Checksum));
  return record;
}

void for_each_record(const ItemHeader& header, std::span<const std::byte> item,
                     FunctionRef<void(const RecordPlace& place, const BlockRecord& record)> visit) {
  if (item.size() < kItemHeaderBytes + header.body_bytes) return;
  const std::uint64_t end = kItemHeaderBytes + header.body_bytes;
  for (std::uint64_t at = kItemHeaderBytes; end - at >= kRecordHead;) {
    const auto bytes = get<std::uint32_t>(item.data() + at);
    // A damaged length hides the records behind it.
    if (bytes < kRecordHead || bytes % 8 != 0 || bytes > end - at) return;
    const RecordPlace place{.offset = header.offset + at, .bytes = bytes};
    if (const auto record =
            decode_record(item.subspan(at, bytes), header.file_number, place.offset))
      visit(place, *record);
    at += bytes;
  }
}

std::vector<Digest> decode_uses(const ItemHeader& header, std::span<const std::byte> item) {
  if (!note_holds(header, item)) return {};
  std::vector<Digest> ids(header.count);
  copy_bytes(ids.data(), item.data() + kItemHeaderBytes, ids.size() * sizeof(Digest));
  return ids;
}

std::vector<GoneBlock> decode_gone(const ItemHeader& header, std::span<const std::byte> item) {
  if (!note_holds(header, item)) return {};
  std::vector<GoneBlock> blocks(header.count);
  const std::byte* at = item.data() + kItemHeaderBytes;
  for (GoneBlock& block : blocks) {
    block.id = get<Digest>(at);
    block.file_number = get<std::uint64_t>(at + 32);
    block.offset = get<std::uint64_t>(at + 40);
    at += kGoneBytes;
  }
  return blocks;
}

}  // namespace ollm::kv
