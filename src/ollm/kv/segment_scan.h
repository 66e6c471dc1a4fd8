// Reading a segment file through, item by item: what opening the folder is made of. Leaves to
// others: what the items say (record.h), which files there are (segment_folder.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/kv/record.h"

namespace ollm::kv {

struct Scan {
  /// Behind the last whole item that is no stripe: what stands behind it was never committed. Where
  /// there is none, where the scan began. A later scan goes on here.
  std::uint64_t committed_end = 0;
  /// Whether something that is no item stands before the last one.
  bool damaged = false;
};

/// Reads up to out.size() bytes, fewer where the file ends first.
using ReadUpTo = FunctionRef<Result<std::size_t>(std::uint64_t offset, std::span<std::byte> out)>;
/// A whole item: its header, and its bytes with header and body; of a stripe its first page.
using VisitItem = FunctionRef<void(const ItemHeader& header, std::span<const std::byte> item)>;

/// Visits the items from byte `from` on, where an item or the end is. Where a header is damaged, it
/// looks page by page for the next that is whole. Takes at most kMaxBodyBytes and a little more.
/// Errors: of `read`.
Result<Scan> scan_items(ReadUpTo read, std::uint64_t file_number, std::uint64_t from,
                        VisitItem visit);
Result<Scan> scan_items(const io::File& file, std::uint64_t file_number, std::uint64_t from,
                        VisitItem visit);

}  // namespace ollm::kv
