// The thread that reads pieces of prefixes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/prefixes/piece_library.h"

namespace pyserve {

// Pieces that are being read, in their order. Thread: the reader, and the engine thread.
class PieceRead {
 public:
  explicit PieceRead(PieceChain chain) : chain_(std::move(chain)) {}

  struct Loaded {
    PieceHead head;
    std::vector<uint8_t> data;
  };
  // The next piece, if it is there.
  std::optional<Loaded> take();
  // No more will come: all have been taken, or one could not be read.
  bool is_over() const;
  FileFault fault() const;
  // What is not read yet is not wanted any more.
  void abandon();

  const PieceChain& chain() const { return chain_; }

 private:
  friend class PieceReader;
  bool wait_for_room();
  void put(Loaded loaded);
  void end(FileFault fault);

  const PieceChain chain_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Loaded> loaded_;
  FileFault fault_ = FileFault::kNone;
  bool is_ended_ = false;
  bool is_abandoned_ = false;
};

// Thread: read() is for the engine thread.
class PieceReader {
 public:
  // on_loaded: called on its thread whenever a read has got on. The library must outlive it.
  PieceReader(PieceLibrary& library, std::function<void()> on_loaded);
  ~PieceReader();

  std::shared_ptr<PieceRead> read(PieceChain chain);

  // Thread: any. Together they are the rate.
  int64_t n_read_bytes() const { return n_read_bytes_; }
  double read_ms() const { return read_ms_; }

 private:
  void run();
  void do_read(PieceRead& read);

  PieceLibrary& library_;
  const std::function<void()> on_loaded_;
  std::atomic<int64_t> n_read_bytes_{0};
  std::atomic<double> read_ms_{0};
  std::mutex mutex_;  // of the next three
  std::condition_variable changed_;
  std::deque<std::shared_ptr<PieceRead>> reads_;
  std::shared_ptr<PieceRead> current_;
  bool is_stopping_ = false;
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace pyserve
