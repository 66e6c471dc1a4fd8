#include "ollm/kv/block_writer.h"

#include <utility>

namespace ollm::kv {

BlockWriter::BlockWriter(Pool& pool) : pool_(pool) {
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
  Result<std::vector<Checksum>> written = pool_.write(done.place, write.parts, write.memory_stride);
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
