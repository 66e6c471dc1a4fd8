#include "ollm/kv/pool_tools.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "ollm/kv/disk_room.h"
#include "ollm/kv/eviction.h"
#include "ollm/kv/record.h"
#include "ollm/kv/segment_folder.h"
#include "ollm/kv/segment_scan.h"
#include "ollm/kv/segment_writer.h"

namespace ollm::kv {
namespace {

// The tools run alone, beside no model.
constexpr std::size_t kToolBytes = std::size_t{256} << 20;
constexpr std::uint64_t kStatBlock = 512;

using PlaceKey = std::pair<std::uint64_t, std::uint64_t>;  // number of a file, offset in it

// One whole look at a folder: what is committed and not gone.
class Look {
 public:
  struct Block {
    std::uint64_t file_number = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint32_t tokens = 0;
    RecordPlace record;
    const StoredEntry* entry = nullptr;
  };

  Result<void> take(const std::filesystem::path& folder, io::SystemCalls& calls) {
    OLLM_TRY(const std::vector<std::uint64_t> numbers, list_segments(folder, calls));
    for (const std::uint64_t number : numbers) {
      const auto opened = open_segment(folder, number, calls);
      if (!opened.ok()) continue;
      if (opened->state == SegmentState::whole) {
        // A part that cannot be read hides what follows it in that file alone.
        (void)scan_items(*opened->file, number, kPageBytes,
                         [this](const ItemHeader& header, auto item) { take_in(header, item); });
      } else if (opened->state == SegmentState::other_version ||
                 opened->state == SegmentState::damaged) {
        add_unread(segment_path(folder, number), calls);
      }
    }
    std::erase_if(blocks_, [this](const Block& block) {
      return gone_.contains({block.file_number, block.offset});
    });
    return {};
  }

  const std::vector<Block>& blocks() const { return blocks_; }

  std::vector<StoredEntry> entries() {
    for (const Block& block : blocks_) {
      StoredEntry& entry = entries_[*block.entry->fingerprint];
      ++entry.blocks;
      entry.tokens += block.tokens;
      entry.bytes += block.bytes;
    }
    std::vector<StoredEntry> out;
    for (const auto& [fingerprint, entry] : entries_)
      if (entry.blocks > 0) out.push_back(entry);
    if (unread_.bytes > 0) out.push_back(unread_);
    return out;
  }

 private:
  void take_in(const ItemHeader& header, std::span<const std::byte> item) {
    if (header.type == ItemType::commit) {
      StoredEntry& entry = entries_[header.fingerprint];
      entry.fingerprint = header.fingerprint;
      entry.written_s = std::max(entry.written_s, header.time_s);
      for_each_record(header, item, [&](const RecordPlace& where, const BlockRecord& record) {
        by_name_[record.id] = &entry;
        blocks_.push_back({.file_number = header.file_number,
                           .offset = record.place.offset,
                           .bytes = std::uint64_t{record.place.layers} * record.place.part_bytes,
                           .tokens = static_cast<std::uint32_t>(record.tokens.size()),
                           .record = where,
                           .entry = &entry});
      });
    } else if (header.type == ItemType::uses) {
      for (const Digest& id : decode_uses(header, item))
        if (const auto found = by_name_.find(id); found != by_name_.end())
          found->second->written_s = std::max(found->second->written_s, header.time_s);
    } else if (header.type == ItemType::gone) {
      for (const GoneBlock& block : decode_gone(header, item))
        gone_.emplace(block.file_number, block.offset);
    }
  }

  void add_unread(const std::filesystem::path& path, io::SystemCalls& calls) {
    struct stat status{};
    if (calls.lstat(path.c_str(), &status) != 0) return;
    unread_.bytes += static_cast<std::uint64_t>(status.st_blocks) * kStatBlock;
    unread_.written_s =
        std::max(unread_.written_s, static_cast<std::int64_t>(status.st_mtim.tv_sec));
  }

  std::map<Digest, StoredEntry> entries_;  // by fingerprint; entries stay where they are
  std::map<Digest, StoredEntry*> by_name_;
  StoredEntry unread_;
  std::vector<Block> blocks_;  // file by file
  std::set<PlaceKey> gone_;
};

// Reads the blocks of a look through.
class Verification {
 public:
  Verification(const std::filesystem::path& folder,
               FunctionRef<void(std::uint64_t, std::uint64_t)> on_progress,
               const CancellationToken& cancel, io::SystemCalls& calls)
      : folder_(folder), on_progress_(on_progress), cancel_(cancel), calls_(calls) {}

  Result<VerifiedStore> run() {
    OLLM_TRY_VOID(look_.take(folder_, calls_));
    for (const Look::Block& block : look_.blocks()) total_ += block.bytes;
    if (on_progress_) on_progress_(0, total_);
    OpenedSegment segment;
    std::optional<std::uint64_t> open;
    for (const Look::Block& block : look_.blocks()) {
      if (open != block.file_number) {
        open = block.file_number;
        auto opened = open_segment(folder_, block.file_number, calls_);
        segment = opened.ok() ? std::move(opened).value() : OpenedSegment{};
      }
      if (!segment.file) continue;  // evicted, or being evicted, since
      OLLM_TRY_VOID(verify(*segment.file, block));
    }
    segment.file.reset();
    set_aside();
    return found_;
  }

 private:
  Result<void> verify(const io::File& file, const Look::Block& block) {
    std::vector<std::byte> bytes(block.record.bytes);
    if (!file.read_at(block.record.offset, bytes).ok()) return {};
    const auto record = decode_record(bytes, block.file_number, block.record.offset);
    if (!record) return {};
    ++found_.blocks;
    bool holds = true;
    for (std::uint32_t layer = 0; layer < record->place.layers; ++layer) {
      OLLM_TRY_VOID(cancel_.check());
      if (holds) holds = part_holds(file, *record, layer);
      done_ += record->place.part_bytes;
      if (on_progress_) on_progress_(done_, total_);
    }
    if (holds) return {};
    ++found_.corrupt;
    corrupt_[block.file_number].push_back(
        {.id = record->id, .file_number = block.file_number, .offset = block.offset});
    return {};
  }

  bool part_holds(const io::File& file, const BlockRecord& record, std::uint32_t layer) {
    const std::uint64_t offset = record.place.offset + layer * record.place.stride;
    PartChecksum checksum(record.place.file_number, offset);
    for (std::uint64_t done = 0; done < record.place.part_bytes;) {
      const std::uint64_t left = record.place.part_bytes - done;
      const std::span<std::byte> some(
          buffer_.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size())));
      if (!file.read_at(offset + done, some).ok()) return false;
      checksum.add(some);
      done += some.size();
    }
    file.drop_cached(offset, record.place.part_bytes);
    return checksum.finish() == record.checksums[layer];
  }

  // Noted in the file itself where no other process appends to it, else in a new one.
  void set_aside() {
    std::vector<GoneBlock> elsewhere;
    for (const auto& [number, blocks] : corrupt_) {
      auto adopted = SegmentWriter::adopt(
          folder_, number, [](const ItemHeader&, std::span<const std::byte>) {}, calls_);
      if (!adopted.ok() || !*adopted || !append_gone(**adopted, blocks, stamp_).ok())
        elsewhere.insert(elsewhere.end(), blocks.begin(), blocks.end());
    }
    if (elsewhere.empty()) return;
    auto own = SegmentWriter::create(folder_, /*kept=*/true, calls_);
    if (own.ok() && !append_gone(**own, elsewhere, stamp_).ok()) (*own)->unlink();
  }

  const std::filesystem::path& folder_;
  const FunctionRef<void(std::uint64_t, std::uint64_t)> on_progress_;
  const CancellationToken& cancel_;
  io::SystemCalls& calls_;

  Look look_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(std::size_t{1} << 20);
  std::map<std::uint64_t, std::vector<GoneBlock>> corrupt_;  // by file
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  const Stamp stamp_{.sequence = 1, .time_s = std::time(nullptr)};
  VerifiedStore found_;
};

Result<void> evict_more(const std::filesystem::path& folder, const EvictionGoal& goal,
                        io::SystemCalls& calls, Freed* freed) {
  OLLM_TRY(const Evicted evicted, evict(folder, goal, kToolBytes, {}, calls));
  freed->freed_bytes += evicted.bytes;
  freed->in_use_bytes += evicted.in_use_bytes;
  return {};
}

// Locks of files that are gone, and files of processes that were killed before they had taken their
// names away.
void remove_left_overs(const std::filesystem::path& folder, io::SystemCalls& calls) {
  constexpr std::size_t kMaxNames = std::size_t{1} << 17;
  std::vector<std::string> names;
  if (calls.list(folder.c_str(), kMaxNames, &names) != 0) return;
  for (const std::string& name : names) {
    if (is_left_over(name)) calls.unlink((folder / name).c_str());
    const std::optional<std::uint64_t> number = locked_segment_number(name);
    if (!number) continue;
    const auto lock = try_lock(folder / name, 0, calls);
    struct stat status{};
    if (lock.ok() && *lock && calls.lstat(segment_path(folder, *number).c_str(), &status) != 0)
      calls.unlink((folder / name).c_str());
  }
}

}  // namespace

Result<std::vector<StoredEntry>> list_stored(const std::filesystem::path& folder,
                                             io::SystemCalls& calls) {
  Look look;
  OLLM_TRY_VOID(look.take(folder, calls));
  return look.entries();
}

Result<VerifiedStore> verify_stored(const std::filesystem::path& folder,
                                    FunctionRef<void(std::uint64_t, std::uint64_t)> on_progress,
                                    const CancellationToken& cancel, io::SystemCalls& calls) {
  return Verification(folder, on_progress, cancel, calls).run();
}

Result<Freed> prune_stored(const std::filesystem::path& folder, const Pruning& pruning,
                           io::SystemCalls& calls) {
  Freed freed;
  if (pruning.fingerprints) {
    EvictionGoal goal;
    goal.fingerprints = pruning.fingerprints;
    OLLM_TRY_VOID(evict_more(folder, goal, calls, &freed));
  }
  if (pruning.written_before_s) {
    EvictionGoal goal;
    goal.used_before_s = pruning.written_before_s;
    OLLM_TRY_VOID(evict_more(folder, goal, calls, &freed));
  }
  if (pruning.max_bytes) {
    OLLM_TRY(const DiskRoom room, disk_room(folder, *pruning.max_bytes, 0, calls));
    if (room.used_bytes > *pruning.max_bytes) {
      EvictionGoal goal;
      goal.bytes = room.used_bytes - *pruning.max_bytes;
      OLLM_TRY_VOID(evict_more(folder, goal, calls, &freed));
    }
  }
  return freed;
}

Result<Freed> clear_stored(const std::filesystem::path& folder, io::SystemCalls& calls) {
  Freed freed;
  OLLM_TRY_VOID(evict_more(folder, {}, calls, &freed));
  remove_left_overs(folder, calls);
  return freed;
}

}  // namespace ollm::kv
