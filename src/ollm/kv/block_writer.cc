#include "ollm/kv/block_writer.h"

#include <algorithm>
#include <utility>

namespace ollm::kv {

BlockWriter::BlockWriter(Pool& pool, const backend::KvCodes& codes, std::byte* code_memory)
    : pool_(pool), codes_(codes), code_memory_(code_memory) {
  if (Result<Thread> started = Thread::start([this] { run(); }); started.ok())
    thread_.emplace(std::move(started).value());
}

BlockWriter::~BlockWriter() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  given_.notify_all();
  thread_.reset();
}

std::uint64_t BlockWriter::write(const Write& write) {
  Job job;
  job.write = write;
  return give(std::move(job));
}

std::uint64_t BlockWriter::commit(std::vector<BlockRecord> records) {
  Job job;
  job.records = std::move(records);
  return give(std::move(job));
}

std::uint64_t BlockWriter::give(Job job) {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = job.ticket = ++tickets_;
  if (thread_) {
    jobs_.push_back(std::move(job));
    lock.unlock();
    given_.notify_one();
  } else {
    finished_.push_back(perform(std::move(job)));
  }
  return ticket;
}

// The parts as codes, one behind the other, each with zeros to its end.
const std::byte* BlockWriter::encode(const Write& write) {
  const backend::KvLayout& layout = *write.as_codes.layout;
  std::byte* out = code_memory_;
  for (std::uint32_t layer = 0; layer < write.layers; ++layer) {
    std::byte* const end = out + write.part_bytes;
    const std::byte* tile = write.parts + layer * write.memory_stride;
    for (std::size_t i = 0; i < write.as_codes.tiles; ++i) {
      codes_.encode(layout, tile, out);
      tile += layout.tile_bytes();
      out += backend::code_bytes(layout);
    }
    out = std::fill_n(out, end - out, std::byte{0});
  }
  return code_memory_;
}

BlockWriter::Done BlockWriter::perform(Job job) {
  Done done;
  done.ticket = job.ticket;
  if (!job.write) {
    done.commit = true;
    done.result = pool_.commit(job.records);
    done.records = std::move(job.records);
    return done;
  }
  const Write& write = *job.write;
  const Placed& before = recent_[write.before_ticket % kRecent];
  const bool is_recent = write.before_ticket != 0 && before.ticket == write.before_ticket;
  Result<BlockPlace> place =
      pool_.place(write.layers, write.part_bytes, is_recent ? before.place : write.before,
                  write.alone, write.needed);
  if (!place.ok()) {
    done.result = std::move(place).error();
    return done;
  }
  done.place = *place;
  const bool coded = write.as_codes.layout != nullptr;
  const std::byte* const parts = coded ? encode(write) : write.parts;
  Result<std::vector<Checksum>> written =
      pool_.write(done.place, parts, coded ? write.part_bytes : write.memory_stride);
  if (!written.ok()) {
    pool_.give_back(done.place);
    done.result = std::move(written).error();
    return done;
  }
  done.checksums = std::move(written).value();
  recent_[job.ticket % kRecent] = {job.ticket, done.place};
  return done;
}

void BlockWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    given_.wait(lock, [this] { return ends_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    Done done = perform(std::move(job));
    lock.lock();
    busy_ = false;
    finished_.push_back(std::move(done));
    done_.notify_all();
  }
}

std::optional<BlockWriter::Done> BlockWriter::poll() {
  const std::lock_guard lock(mutex_);
  if (finished_.empty()) return std::nullopt;
  Done done = std::move(finished_.front());
  finished_.pop_front();
  return done;
}

std::optional<BlockWriter::Done> BlockWriter::wait() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return !finished_.empty() || (jobs_.empty() && !busy_); });
  if (finished_.empty()) return std::nullopt;
  Done done = std::move(finished_.front());
  finished_.pop_front();
  return done;
}

}  // namespace ollm::kv
