#include "engine/prefixes/piece_reader.h"

#include <utility>

namespace pyserve {
namespace {

constexpr size_t kMaxAhead = 4;  // pieces that wait for the engine thread

}  // namespace

std::optional<PieceRead::Loaded> PieceRead::take() {
  std::optional<Loaded> loaded;
  {
    std::lock_guard lock(mutex_);
    if (loaded_.empty()) return std::nullopt;
    loaded = std::move(loaded_.front());
    loaded_.pop_front();
  }
  changed_.notify_all();
  return loaded;
}

bool PieceRead::is_over() const {
  std::lock_guard lock(mutex_);
  return is_ended_ && loaded_.empty();
}

FileFault PieceRead::fault() const {
  std::lock_guard lock(mutex_);
  return fault_;
}

void PieceRead::abandon() {
  {
    std::lock_guard lock(mutex_);
    is_abandoned_ = true;
    loaded_.clear();
  }
  changed_.notify_all();
}

bool PieceRead::wait_for_room() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_abandoned_ || loaded_.size() < kMaxAhead; });
  return !is_abandoned_;
}

void PieceRead::put(Loaded loaded) {
  std::lock_guard lock(mutex_);
  if (!is_abandoned_) loaded_.push_back(std::move(loaded));
}

void PieceRead::end(FileFault fault) {
  std::lock_guard lock(mutex_);
  fault_ = fault;
  is_ended_ = true;
}

PieceReader::PieceReader(PieceLibrary& library, std::function<void()> on_loaded)
    : library_(library), on_loaded_(std::move(on_loaded)), thread_([this] { run(); }) {}

PieceReader::~PieceReader() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    if (current_ != nullptr) current_->abandon();
  }
  changed_.notify_all();
  thread_.join();
}

std::shared_ptr<PieceRead> PieceReader::read(PieceChain chain) {
  auto read = std::make_shared<PieceRead>(std::move(chain));
  {
    std::lock_guard lock(mutex_);
    reads_.push_back(read);
  }
  changed_.notify_all();
  return read;
}

void PieceReader::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return is_stopping_ || !reads_.empty(); });
    if (is_stopping_) return;
    current_ = std::move(reads_.front());
    reads_.pop_front();
    lock.unlock();
    do_read(*current_);
    lock.lock();
    current_ = nullptr;
  }
}

void PieceReader::do_read(PieceRead& read) {
  FileFault fault = FileFault::kNone;
  for (const auto& piece : read.chain().pieces) {
    if (!read.wait_for_room()) break;
    const TimePoint begin = Clock::now();
    PieceFile file = library_.read(*piece);
    fault = file.fault;
    if (fault != FileFault::kNone) break;
    n_read_bytes_ += file.n_bytes;
    read_ms_ = read_ms_ + elapsed_ms(begin, Clock::now());
    read.put({std::move(file.head), std::move(file.data)});
    on_loaded_();
  }
  read.end(fault);
  on_loaded_();
}

}  // namespace pyserve
