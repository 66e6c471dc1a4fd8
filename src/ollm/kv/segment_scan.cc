#include "ollm/kv/segment_scan.h"

#include <optional>
#include <vector>

namespace ollm::kv {
namespace {

// Of a search for the next whole item.
constexpr std::size_t kSearchBytes = 64 * kPageBytes;

class Scanner {
 public:
  Scanner(ReadUpTo read, std::uint64_t file_number) : read_(read), file_number_(file_number) {}

  // The item at `offset`, whole; its bytes are item().
  Result<std::optional<ItemHeader>> read_item(std::uint64_t offset) {
    bytes_.resize(kPageBytes);
    OLLM_TRY(const std::size_t head, read_(offset, bytes_));
    at_end_ = head == 0;
    std::optional<ItemHeader> header =
        decode_item_header(std::span(bytes_).first(head), file_number_, offset);
    if (!header || header->type == ItemType::stripe) return header;
    if (head < kPageBytes) return std::optional<ItemHeader>();
    bytes_.resize(header->bytes);
    OLLM_TRY(const std::size_t rest,
             read_(offset + kPageBytes, std::span(bytes_).subspan(kPageBytes)));
    if (rest + kPageBytes < header->bytes) header.reset();  // was not written to its end
    return header;
  }

  // Where the next header stands that is whole, at or behind `offset`; nothing before the end.
  Result<std::optional<std::uint64_t>> find_header(std::uint64_t offset) {
    bytes_.resize(kSearchBytes);
    for (;; offset += kSearchBytes) {
      OLLM_TRY(const std::size_t count, read_(offset, bytes_));
      for (std::size_t at = 0; at + kItemHeaderBytes <= count; at += kPageBytes) {
        const auto page = std::span(bytes_).subspan(at, kItemHeaderBytes);
        if (decode_item_header(page, file_number_, offset + at))
          return std::optional<std::uint64_t>(offset + at);
      }
      if (count < kSearchBytes) return std::optional<std::uint64_t>();
    }
  }

  std::span<const std::byte> item() const { return bytes_; }
  bool at_end() const { return at_end_; }

 private:
  const ReadUpTo read_;
  const std::uint64_t file_number_;
  std::vector<std::byte> bytes_;
  bool at_end_ = false;
};

}  // namespace

Result<Scan> scan_items(ReadUpTo read, std::uint64_t file_number, std::uint64_t from,
                        VisitItem visit) {
  Scan scan{.committed_end = from};
  Scanner scanner(read, file_number);
  bool searched = false;
  for (std::uint64_t offset = from;;) {
    OLLM_TRY(const std::optional<ItemHeader> header, scanner.read_item(offset));
    if (header) {
      visit(*header, scanner.item());
      if (searched) scan.damaged = true;
      if (header->type != ItemType::stripe) scan.committed_end = header->end();
      offset = header->end();
      continue;
    }
    if (scanner.at_end()) return scan;
    searched = true;
    OLLM_TRY(const std::optional<std::uint64_t> next, scanner.find_header(offset + kPageBytes));
    if (!next) return scan;
    offset = *next;
  }
}

Result<Scan> scan_items(const io::File& file, std::uint64_t file_number, std::uint64_t from,
                        VisitItem visit) {
  return scan_items(
      [&](std::uint64_t offset, std::span<std::byte> out) { return file.read_up_to(offset, out); },
      file_number, from, visit);
}

}  // namespace ollm::kv
