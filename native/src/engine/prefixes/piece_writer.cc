#include "engine/prefixes/piece_writer.h"

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>

namespace pyserve {
namespace {

constexpr size_t kMaxWaitingBytes = size_t{64} << 20;
constexpr std::chrono::seconds kUpkeepInterval{30};
constexpr int kNiceness = 10;  // of this thread: steps go before

}  // namespace

PieceWriter::PieceWriter(PieceLibrary& library, std::string about)
    : library_(library), about_(std::move(about)), thread_([this] { run(); }) {}

PieceWriter::~PieceWriter() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool PieceWriter::has_room() const {
  std::lock_guard lock(mutex_);
  return !is_broken_ && n_waiting_bytes_ < kMaxWaitingBytes;
}

bool PieceWriter::is_off() const { return is_broken_; }

void PieceWriter::write(PieceHead head, std::vector<uint8_t> data) {
  push({std::move(head), std::move(data), {}});
}

void PieceWriter::touch(std::vector<Digest> names) { push({{}, {}, std::move(names)}); }

void PieceWriter::push(Job job) {
  {
    std::lock_guard lock(mutex_);
    n_waiting_bytes_ += job.data.size();
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void PieceWriter::finish(double limit_ms) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double, std::milli>(limit_ms),
                    [this] { return n_waiting_bytes_ == 0 && jobs_.empty(); });
}

void PieceWriter::run() {
  ::setpriority(PRIO_PROCESS, 0, kNiceness);  // of a thread, on Linux
  look_after_directory();
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    const bool has_job =
        changed_.wait_for(lock, kUpkeepInterval, [this] { return is_stopping_ || !jobs_.empty(); });
    if (is_stopping_) break;
    if (!has_job) {
      lock.unlock();
      look_after_directory();
      lock.lock();
      continue;
    }
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    do_job(job);
    lock.lock();
    n_waiting_bytes_ -= job.data.size();
    changed_.notify_all();
  }
}

void PieceWriter::look_after_directory() {
  if (!is_open_ || is_broken_) {
    const int error = library_.open(about_);
    is_open_ = error == 0;
    is_broken_ = !is_open_;
    if (error != 0 && !library_.is_read_only()) note_error(error);
  }
  library_.scan();
  library_.trim(0);
  has_scanned_ = true;
}

void PieceWriter::do_job(const Job& job) {
  if (!job.touched.empty()) return library_.touch(job.touched);
  if (is_broken_) return;
  const int error = library_.write(job.head, job.data);
  if (error != 0) return note_error(error);
  ++n_written_;
  n_written_bytes_ += static_cast<int64_t>(job.data.size());
  has_warned_ = false;
}

void PieceWriter::note_error(int error) {
  ++n_errors_;
  is_broken_ = true;  // look_after_directory() tries again
  if (std::exchange(has_warned_, true)) return;
  std::fprintf(stderr, "prefixes are not written to disk: %s\n",
               std::generic_category().message(error).c_str());
}

}  // namespace pyserve
