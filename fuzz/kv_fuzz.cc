// Any bytes as a segment file of stored blocks: read through without an end, a crash or memory that
// the bytes do not pay for; what is taken for a block stands where one can stand.

// links: ollm_kv

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "fuzz/bytes.h"
#include "ollm/base/check.h"
#include "ollm/kv/record.h"
#include "ollm/kv/segment_scan.h"

namespace {

using namespace ollm::kv;  // NOLINT: a program of its own
using ollm::fuzz::Bytes;

constexpr std::uint64_t kFileNumber = 1;

// The checksums stand in the way of a fuzzer: it may have headers sealed where items seem to begin.
void seal(std::span<std::byte> file) {
  for (std::size_t at = kPageBytes; at + kItemHeaderBytes <= file.size(); at += kPageBytes)
    seal_item_header(file.subspan(at, kItemHeaderBytes));
}

BlockRecord record_of(Bytes& choices) {
  BlockRecord record{.id = {},
                     .parent = root_id(),
                     .group = choices.byte(),
                     .tokens = std::vector<ollm::TokenId>(1 + choices.pick(40)),
                     .place = {.file_number = kFileNumber,
                               .offset = kPageBytes * choices.byte(),
                               .stride = kPageBytes * choices.pick(8),
                               .part_bytes = static_cast<std::uint32_t>(kPageBytes) *
                                             static_cast<std::uint32_t>(choices.pick(4)),
                               .layers = static_cast<std::uint32_t>(choices.pick(4))},
                     .checksums = {}};
  for (ollm::TokenId& token : record.tokens) token = choices.byte();
  if (record.group % 2 == 1) record.kind = BlockKind::states;
  record.id = block_id({}, record.group, record.parent, record.tokens);
  record.checksums.resize(record.place.layers);
  return record;
}

// A file as it is written, by choices, and then damaged by them.
std::vector<std::byte> built(Bytes& choices) {
  const Page header = encode_file_header(kFileNumber);
  std::vector<std::byte> file(header.begin(), header.end());
  while (!choices.empty() && file.size() < 64 * kPageBytes) {
    const Stamp stamp{.sequence = choices.byte()};
    const std::uint64_t at = file.size();
    std::vector<std::byte> item;
    switch (choices.pick(7)) {
      case 0: {
        const auto layers = static_cast<std::uint32_t>(1 + choices.pick(3));
        const auto capacity = static_cast<std::uint32_t>(1 + choices.pick(3));
        item = encode_stripe(kFileNumber, at, layers, kPageBytes, capacity);
        item.resize(item.size() + std::size_t{layers} * capacity * kPageBytes);
        break;
      }
      case 1: {
        std::vector<BlockRecord> records(1 + choices.pick(4));
        for (BlockRecord& record : records) record = record_of(choices);
        item = encode_commit(kFileNumber, at, stamp, {}, records);
        break;
      }
      case 2:
        item = encode_uses(kFileNumber, at, stamp, std::vector<ollm::Digest>(choices.byte()));
        break;
      case 3:
        item = encode_gone(kFileNumber, at, stamp, std::vector<GoneBlock>(choices.byte()));
        break;
      case 4:
        file[(choices.byte() * std::size_t{256} + choices.byte()) % file.size()] ^=
            static_cast<std::byte>(choices.byte());
        break;
      case 5:
        item.assign(kPageBytes, static_cast<std::byte>(choices.byte()));
        break;
      case 6:
        file.resize(std::max<std::size_t>(kPageBytes, file.size() - 16 * choices.byte()));
        file.resize((file.size() + kPageBytes - 1) / kPageBytes * kPageBytes);
        break;
    }
    file.insert(file.end(), item.begin(), item.end());
  }
  return file;
}

void check_records(const ItemHeader& header, std::span<const std::byte> item) {
  std::vector<BlockRecord> records;
  for_each_record(header, item, [&](const RecordPlace& where, const BlockRecord& record) {
    OLLM_CHECK(where.offset >= header.offset + kItemHeaderBytes);
    OLLM_CHECK(where.offset + where.bytes <= header.end());
    OLLM_CHECK(!record.tokens.empty() && record.checksums.size() == record.place.layers);
    const std::uint64_t last =
        record.place.offset + (record.place.layers - 1) * record.place.stride;
    OLLM_CHECK(record.place.offset >= kPageBytes && last + record.place.part_bytes <= where.offset);
    OLLM_CHECK(record_bytes(record) == where.bytes);
    OLLM_CHECK(record.kind == BlockKind::keys_and_values || record.kind == BlockKind::states);
    records.push_back(record);
  });
  if (records.size() != header.count || records.empty()) return;
  const auto again = encode_commit(header.file_number, header.offset,
                                   {.sequence = header.sequence, .time_s = header.time_s},
                                   header.fingerprint, records);
  OLLM_CHECK(again.size() <= item.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes choices(data, size);
  std::vector<std::byte> file;
  const std::size_t kind = choices.pick(3);
  if (kind == 0) {
    file = built(choices);
  } else {
    file.resize(size);
    std::memcpy(file.data(), data, size);
    if (kind == 1) seal(file);
  }
  if (file.size() >= kPageBytes) (void)decode_file_header(std::span(file).first<kPageBytes>());
  std::uint64_t items = 0;
  const auto read = [&](std::uint64_t offset,
                        std::span<std::byte> out) -> ollm::Result<std::size_t> {
    if (offset >= file.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(out.size(), file.size() - offset);
    std::memcpy(out.data(), file.data() + offset, count);
    return count;
  };
  const auto visit = [&](const ItemHeader& header, std::span<const std::byte> item) {
    ++items;
    OLLM_CHECK(header.offset % kPageBytes == 0 && header.bytes % kPageBytes == 0);
    OLLM_CHECK(header.type == ItemType::stripe || item.size() == header.bytes);
    if (header.type == ItemType::commit) check_records(header, item);
    if (header.type == ItemType::uses)
      OLLM_CHECK(decode_uses(header, item).size() <= kMaxNoteEntries);
    if (header.type == ItemType::gone)
      OLLM_CHECK(decode_gone(header, item).size() <= kMaxNoteEntries);
  };
  const auto scan = scan_items(read, kFileNumber, kPageBytes, visit);
  OLLM_CHECK(scan.ok() && items <= file.size() / kPageBytes + 1);
  OLLM_CHECK(scan->committed_end % kPageBytes == 0);
  OLLM_CHECK(scan->committed_end <=
             std::max<std::uint64_t>(kPageBytes,
                                     (file.size() + kPageBytes - 1) / kPageBytes * kPageBytes));
  return 0;
}
