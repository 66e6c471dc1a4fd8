#include "ollm/kv/eviction.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ollm/kv/record.h"
#include "ollm/kv/segment_folder.h"
#include "ollm/kv/segment_scan.h"

namespace ollm::kv {
namespace {

constexpr std::uint64_t kStatBlock = 512;
constexpr int kLockTries = 10;
// Of a candidate with its place in the tables around it.
constexpr std::size_t kCandidateBytes = 160;

// Names of blocks, shortened: only the order of eviction hangs on them.
std::uint64_t key_of(const Digest& id) {
  std::uint64_t key = 0;
  std::memcpy(&key, id.bytes.data(), sizeof key);
  return key;
}

struct Candidate {
  std::uint64_t key = 0;
  std::uint64_t parent = 0;
  std::uint64_t last_use = 0;
  std::int64_t used_s = 0;  // the time of its last use
  std::uint64_t bytes = 0;
  std::uint64_t file_number = 0;
  std::uint64_t offset = 0;  // of its first part
  RecordPlace record;
  std::uint32_t children = 0;
  bool wanted = true;   // of a fingerprint that may go
  bool needed = false;  // to find a block that is in use
};

struct File {
  SegmentState state = SegmentState::absent;
  std::uint64_t bytes = 0;  // on disk
  std::size_t blocks = 0;   // that are not gone
  std::uint64_t last_use = 0;
  std::vector<BlockRecord> victims;

  // once something in it was to go
  bool asked = false;
  bool locked = false;
  SegmentWriter* writer = nullptr;  // this process's own, or:
  std::unique_ptr<SegmentWriter> adopted;
  const io::File* reading = nullptr;  // this process's own, or:
  std::optional<io::File> opened;
};

class Eviction {
 public:
  Eviction(const std::filesystem::path& folder, const EvictionGoal& goal, std::size_t memory_bytes,
           const EvictionView& view, io::SystemCalls& calls)
      : folder_(folder),
        goal_(goal),
        max_candidates_(memory_bytes / kCandidateBytes),
        view_(view),
        calls_(calls) {}

  Result<Evicted> run() {
    OLLM_TRY_VOID(look());
    if (goal_.takes_any_block()) {
      for (auto& [number, file] : files_)
        if (file.state == SegmentState::other_version || file.state == SegmentState::damaged)
          if (!reached()) remove_unreadable(number, file);
    }
    if (!reached()) {
      order();
      choose();
      for (auto& [number, file] : files_)
        if (!file.victims.empty()) remove_blocks(number, file);
      if (!punches_ && complete_) remove_whole_files();
      for (auto& [number, file] : files_) unlock(file);
    }
    return evicted_;
  }

 private:
  bool reached() const { return evicted_.bytes >= goal_.bytes; }

  // ---- what is there ----

  Result<void> look() {
    OLLM_TRY(const std::vector<std::uint64_t> numbers, list_segments(folder_, calls_));
    for (const std::uint64_t number : numbers) {
      struct stat status{};
      if (calls_.lstat(segment_path(folder_, number).c_str(), &status) != 0) continue;
      const auto opened = open_segment(folder_, number, calls_);
      if (!opened.ok()) continue;
      File& file = files_[number];
      file.state = opened->state;
      file.bytes = static_cast<std::uint64_t>(status.st_blocks) * kStatBlock;
      if (file.state != SegmentState::whole) continue;
      const auto visit = [this](const ItemHeader& header, auto item) { take_in(header, item); };
      if (!scan_items(*opened->file, number, kPageBytes, visit).ok())
        file.state = SegmentState::refused;  // what cannot be read is not touched
    }
    std::erase_if(candidates_, [this](const Candidate& candidate) {
      return gone_.contains({candidate.file_number, candidate.offset}) ||
             files_[candidate.file_number].state != SegmentState::whole;
    });
    return {};
  }

  void take_in(const ItemHeader& header, std::span<const std::byte> item) {
    stamp_.sequence = std::max(stamp_.sequence, header.sequence + 1);
    if (header.type == ItemType::commit) {
      const bool wanted =
          !goal_.fingerprints || std::count(goal_.fingerprints->begin(), goal_.fingerprints->end(),
                                            header.fingerprint) > 0;
      for_each_record(header, item, [&](const RecordPlace& where, const BlockRecord& record) {
        add({.key = key_of(record.id),
             .parent = key_of(record.parent),
             .last_use = header.sequence,
             .used_s = header.time_s,
             .bytes = std::uint64_t{record.place.layers} * record.place.part_bytes,
             .file_number = header.file_number,
             .offset = record.place.offset,
             .record = where,
             .wanted = wanted});
      });
    } else if (header.type == ItemType::uses) {
      for (const Digest& id : decode_uses(header, item)) {
        Stamp& last = uses_[key_of(id)];
        if (last.sequence < header.sequence)
          last = {.sequence = header.sequence, .time_s = header.time_s};
      }
    } else if (header.type == ItemType::gone) {
      for (const GoneBlock& block : decode_gone(header, item))
        gone_.emplace(block.file_number, block.offset);
    }
  }

  // Where memory does not hold all, those that were committed last are left out: they would go
  // last.
  void add(const Candidate& candidate) {
    candidates_.push_back(candidate);
    if (candidates_.size() <= 2 * max_candidates_ + 1) return;
    const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(max_candidates_);
    std::nth_element(
        candidates_.begin(), middle, candidates_.end(),
        [](const Candidate& a, const Candidate& b) { return a.last_use < b.last_use; });
    candidates_.erase(middle, candidates_.end());
    complete_ = false;
  }

  // ---- what goes ----

  void order() {
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      Candidate& candidate = candidates_[i];
      if (const auto use = uses_.find(candidate.key); use != uses_.end()) {
        candidate.last_use = std::max(candidate.last_use, use->second.sequence);
        candidate.used_s = std::max(candidate.used_s, use->second.time_s);
      }
      File& file = files_[candidate.file_number];
      ++file.blocks;
      file.last_use = std::max(file.last_use, candidate.last_use);
      // What two processes computed at the same time is there twice: one of them is no loss.
      if (!by_key_.emplace(candidate.key, i).second) candidate.last_use = 0;
    }
    for (const Candidate& candidate : candidates_)
      if (const auto parent = by_key_.find(candidate.parent); parent != by_key_.end())
        ++candidates_[parent->second].children;
  }

  void choose() {
    using Next = std::pair<std::uint64_t, std::size_t>;  // last use, index
    std::priority_queue<Next, std::vector<Next>, std::greater<>> leaves;
    for (std::size_t i = 0; i < candidates_.size(); ++i)
      if (candidates_[i].children == 0) leaves.emplace(candidates_[i].last_use, i);
    std::uint64_t chosen = evicted_.bytes;
    while (!leaves.empty() && chosen < goal_.bytes) {
      Candidate& candidate = candidates_[leaves.top().second];
      leaves.pop();
      if (!candidate.wanted || (goal_.used_before_s && candidate.used_s >= *goal_.used_before_s))
        continue;
      const bool taken = !candidate.needed && take(candidate);
      (taken ? chosen : evicted_.in_use_bytes) += candidate.bytes;
      const auto parent = by_key_.find(candidate.parent);
      if (parent == by_key_.end()) continue;
      Candidate& above = candidates_[parent->second];
      above.last_use = std::max(above.last_use, candidate.last_use);
      above.used_s = std::max(above.used_s, candidate.used_s);
      above.needed |= !taken;
      if (--above.children == 0) leaves.emplace(above.last_use, parent->second);
    }
  }

  bool take(const Candidate& candidate) {
    File& file = files_[candidate.file_number];
    if (!lock(candidate.file_number, file)) return false;
    std::vector<std::byte> bytes(candidate.record.bytes);
    if (!file.reading->read_at(candidate.record.offset, bytes).ok()) return false;
    auto record = decode_record(bytes, candidate.file_number, candidate.record.offset);
    if (!record || !claim(*record)) return false;
    file.victims.push_back(std::move(*record));
    return true;
  }

  bool claim(const BlockRecord& record) {
    return !view_.claim || view_.claim(record.id, record.place.file_number, record.place.offset);
  }

  bool claim_all(std::uint64_t number, File& file) {
    file.victims.clear();
    return std::all_of(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
      return candidate.file_number != number || take(candidate);
    });
  }

  // ---- locks ----

  bool lock(std::uint64_t number, File& file) {
    if (std::exchange(file.asked, true)) return file.locked;
    if (view_.writer) file.writer = view_.writer(number);
    if (file.writer != nullptr && file.writer->broken()) return false;
    if (file.writer == nullptr) {
      auto adopted = SegmentWriter::adopt(
          folder_, number, [](const ItemHeader&, std::span<const std::byte>) {}, calls_);
      if (!adopted.ok() || !*adopted) return false;
      file.adopted = std::move(adopted).value();
      file.writer = file.adopted.get();
    }
    if (view_.reading) file.reading = view_.reading(number);
    if (file.reading == nullptr) {
      auto opened = open_segment(folder_, number, calls_);
      if (!opened.ok() || opened->state != SegmentState::whole) return false;
      file.opened = std::move(opened->file);
      file.reading = &*file.opened;
    }
    // A shared lock becomes an exclusive one by giving up the first: only who evicts takes one, and
    // that is this process, so that it can be had back.
    file.locked = try_flock(file.reading->descriptor(), LOCK_EX, calls_);
    if (!file.locked) try_flock(file.reading->descriptor(), LOCK_SH, calls_);
    return file.locked;
  }

  void unlock(File& file) {
    if (file.locked) try_flock(file.reading->descriptor(), LOCK_SH, calls_);
    file.locked = false;
    file.adopted.reset();
    file.opened.reset();
  }

  // ---- removing ----

  void remove_file(std::uint64_t number, File& file) {
    calls_.unlink(segment_path(folder_, number).c_str());
    calls_.unlink(lock_path(folder_, number).c_str());
    evicted_.bytes += file.bytes;
    ++evicted_.files;
    file.state = SegmentState::absent;
    if (!file.opened && file.reading != nullptr && view_.forget) {
      view_.forget(number);  // closes it, and with that gives up its lock
      file.locked = false;
    }
  }

  // Of another version, or damaged: whoever appends to it has its lock, in any version.
  void remove_unreadable(std::uint64_t number, File& file) {
    const auto lock = try_lock(lock_path(folder_, number), 0, calls_);
    if (!lock.ok() || !*lock) return;
    const io::Descriptor held(
        calls_.open(segment_path(folder_, number).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0),
        calls_);
    if (held && try_flock(held.get(), LOCK_EX, calls_)) remove_file(number, file);
  }

  void remove_blocks(std::uint64_t number, File& file) {
    evicted_.blocks += file.victims.size();
    if (complete_ && file.victims.size() == file.blocks && file.adopted) {
      remove_file(number, file);
      return;
    }
    // Noted first, so that nobody finds them and has to learn from their checksums. On a full disk
    // their own space is what the note is written in.
    const bool noted = note(*file.writer, file.victims);
    for (const BlockRecord& record : file.victims) {
      if (!punches_) break;
      punches_ = file.writer->punch(record.place);
      if (punches_) evicted_.bytes += std::uint64_t{record.place.layers} * record.place.part_bytes;
    }
    if (!noted) note(*file.writer, file.victims);
    file.blocks -= file.victims.size();
  }

  bool note(SegmentWriter& writer, std::span<const BlockRecord> records) {
    std::vector<GoneBlock> blocks;
    for (const BlockRecord& record : records)
      blocks.push_back({.id = record.id,
                        .file_number = record.place.file_number,
                        .offset = record.place.offset});
    return append_gone(writer, blocks, stamp_).ok();
  }

  // Where the file system cannot give back a part of a file.
  void remove_whole_files() {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, file] : files_)
      if (file.state == SegmentState::whole) numbers.push_back(number);
    std::sort(numbers.begin(), numbers.end(), [this](std::uint64_t a, std::uint64_t b) {
      return files_[a].last_use < files_[b].last_use;
    });
    for (const std::uint64_t number : numbers) {
      File& file = files_[number];
      if (reached()) return;
      if (!lock(number, file) || !file.adopted || !claim_all(number, file)) continue;
      evicted_.blocks += file.blocks;
      remove_file(number, file);
    }
  }

  const std::filesystem::path& folder_;
  const EvictionGoal& goal_;
  const std::size_t max_candidates_;
  const EvictionView& view_;
  io::SystemCalls& calls_;

  std::map<std::uint64_t, File> files_;  // by number
  std::vector<Candidate> candidates_;
  std::unordered_map<std::uint64_t, Stamp> uses_;             // the last one, by key
  std::unordered_map<std::uint64_t, std::size_t> by_key_;     // index of candidates_
  std::set<std::pair<std::uint64_t, std::uint64_t>> gone_;    // file number, offset
  Stamp stamp_{.sequence = 1, .time_s = std::time(nullptr)};  // of what is noted
  bool complete_ = true;  // all blocks that are stored are candidates
  bool punches_ = true;   // the file system gives back parts of files
  Evicted evicted_;
};

}  // namespace

Result<Evicted> evict(const std::filesystem::path& folder, const EvictionGoal& goal,
                      std::size_t memory_bytes, const EvictionView& view, io::SystemCalls& calls) {
  OLLM_TRY(const auto lock, try_lock(folder / kEvictionLock, kLockTries, calls));
  if (!lock) return Evicted{};
  return Eviction(folder, goal, memory_bytes, view, calls).run();
}

}  // namespace ollm::kv
