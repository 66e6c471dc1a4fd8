// How blocks begin to count: what was written is synced, their records are written and synced; and
// the notes of what was used and what is gone.
#include <algorithm>
#include <ctime>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/kv/pool_state.h"

namespace ollm::kv {

// What one call commits in one file.
struct Pool::State::Commit {
  SegmentWriter* writer = nullptr;
  Digest fingerprint;
  SegmentWriter::Mark before;  // where the file ended
  bool appended = false;
  std::vector<BlockRecord> records;
  std::vector<std::vector<std::byte>> items;  // as they were written
};

std::optional<Digest> Pool::State::known_fingerprint() const {
  std::lock_guard lock(mutex);
  return fingerprint;
}

Stamp Pool::State::next_stamp() {
  std::lock_guard lock(mutex);
  return {.sequence = next_sequence++, .time_s = std::time(nullptr)};
}

Result<void> Pool::State::append_commit(Commit& commit) {
  std::span<const BlockRecord> left(commit.records);
  while (!left.empty()) {
    const std::size_t count = records_in_one_commit(left);
    const Stamp stamp = next_stamp();
    commit.items.push_back(encode_commit(commit.writer->number(), commit.writer->end(), stamp,
                                         commit.fingerprint, left.first(count)));
    OLLM_TRY_VOID(commit.writer->append(commit.items.back()));
    left = left.subspan(count);
  }
  return {};
}

// Hints for who opens the file next; those that cannot be written wait for the next time.
void Pool::State::append_notes(SegmentWriter& writer) {
  std::vector<GoneBlock> blocks;
  std::vector<Digest> ids;
  const Stamp stamp = next_stamp();
  {
    std::lock_guard lock(mutex);
    blocks.swap(new_gone);
    ids.swap(new_uses);
  }
  const auto pieces = [&](auto& list, auto& queue, auto encode) {
    while (!list.empty()) {
      const std::size_t count = std::min(kMaxNoteEntries, list.size());
      if (!writer.append(encode(std::span(list).first(count))).ok()) break;
      list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
    }
    std::lock_guard lock(mutex);
    queue.insert(queue.end(), list.begin(), list.end());
  };
  pieces(blocks, new_gone, [&](std::span<const GoneBlock> some) {
    return encode_gone(writer.number(), writer.end(), stamp, some);
  });
  pieces(ids, new_uses, [&](std::span<const Digest> some) {
    return encode_uses(writer.number(), writer.end(), stamp, some);
  });
}

void Pool::State::take_in_committed(const Commit& commit) {
  std::uint64_t offset = commit.before.end;
  for (const std::vector<std::byte>& item : commit.items) {
    const auto header = decode_item_header(item, commit.writer->number(), offset);
    OLLM_CHECK(header.has_value());
    take_in(*header, item);
    offset = header->end();
    counters.bytes_written += item.size();
  }
  readers.mark_shown(commit.writer->number(), commit.writer->end());
  commit.writer->settle(commit.records.size());
  counters.blocks_committed += commit.records.size();
  for (const BlockRecord& record : commit.records) ++in_use[record.id];
}

Result<void> Pool::State::commit(std::span<const BlockRecord> records) {
  std::vector<Commit> commits;
  for (const auto& writer : writers) {
    Commit commit;
    commit.writer = writer.get();
    commit.before = writer->mark();
    commit.fingerprint = *known_fingerprint();
    for (const BlockRecord& record : records)
      if (record.place.file_number == writer->number()) commit.records.push_back(record);
    if (!commit.records.empty()) commits.push_back(std::move(commit));
  }
  std::size_t count = 0;
  for (const Commit& commit : commits) {
    count += commit.records.size();
    OLLM_TRY_VOID(commit.writer->check_not_broken());
  }
  if (count != records.size())
    return fail(ErrorKind::invalid_argument, "blocks of a file that this process does not write");

  const auto all = [&]() -> Result<void> {
    for (Commit& commit : commits) OLLM_TRY_VOID(commit.writer->sync());
    for (Commit& commit : commits) {
      commit.appended = true;
      OLLM_TRY_VOID(append_commit(commit));
    }
    append_notes(*commits.back().writer);
    for (Commit& commit : commits) OLLM_TRY_VOID(commit.writer->sync());
    return {};
  };
  if (auto done = all(); !done.ok()) {
    for (Commit& commit : commits)
      if (commit.appended) commit.writer->cut(commit.before);
    return done;
  }
  for (const Commit& commit : commits) {
    std::uint64_t first = commit.before.end;
    for (const BlockRecord& record : commit.records) first = std::min(first, record.place.offset);
    commit.writer->drop_cached(first, commit.before.end - first);
    std::lock_guard lock(mutex);
    take_in_committed(commit);
  }
  return {};
}

Result<void> Pool::commit(std::span<const BlockRecord> records) {
  State& state = *state_;
  if (state.in_child()) return after_fork();
  if (!state.known_fingerprint())
    return fail(ErrorKind::invalid_argument, "blocks cannot be committed without a fingerprint");
  if (records.empty()) return {};
  if (state.options.kept) return state.commit(records);
  std::lock_guard lock(state.mutex);
  for (const BlockRecord& record : records) {
    if (state.index.add_with_record(record))
      state.unlinked.emplace(State::PlaceKey(record.place.file_number, record.place.offset),
                             record.id);
    ++state.in_use[record.id];
  }
  state.counters.blocks_committed += records.size();
  return {};
}

void Pool::State::close() {
  if (!options.kept) return;
  if (!new_gone.empty() || !new_uses.empty()) {
    auto writer = writer_with_room(kPageBytes);
    if (writer.ok()) append_notes(**writer);
  }
  for (const auto& writer : writers) writer->close_uncommitted();
}

}  // namespace ollm::kv
