// The thread that writes pieces of prefixes and keeps their directory.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/prefixes/piece_library.h"

namespace pyserve {

// A directory that cannot be written to is a line in the log, and tried again after a while.
// Thread: the engine thread, but where it says otherwise.
class PieceWriter {
 public:
  // about: for people who look into the folder. The library must outlive it.
  PieceWriter(PieceLibrary& library, std::string about);
  // Leaves what is not written yet.
  ~PieceWriter();

  // It takes another piece: the last ones are written, and the directory can be written to.
  bool has_room() const;
  void write(PieceHead head, std::vector<uint8_t> data);
  // A prefix was used: these pieces, in this order.
  void touch(std::vector<Digest> names);
  // Until all is written, or `limit_ms` are over.
  void finish(double limit_ms);
  // It has seen what the directory holds. Thread: any.
  bool has_scanned() const { return has_scanned_; }
  bool is_off() const;

  // Thread: any.
  int64_t n_written() const { return n_written_; }
  int64_t n_written_bytes() const { return n_written_bytes_; }
  int64_t n_errors() const { return n_errors_; }

 private:
  struct Job {
    PieceHead head;
    std::vector<uint8_t> data;
    std::vector<Digest> touched;  // instead of these
  };

  void push(Job job);
  void run();
  void look_after_directory();
  void do_job(const Job& job);
  void note_error(int error);

  PieceLibrary& library_;
  const std::string about_;
  std::atomic<bool> has_scanned_{false};
  std::atomic<bool> is_broken_{true};  // until it is open
  std::atomic<int64_t> n_written_{0};
  std::atomic<int64_t> n_written_bytes_{0};
  std::atomic<int64_t> n_errors_{0};
  mutable std::mutex mutex_;  // of the next four
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  size_t n_waiting_bytes_ = 0;  // with those of the job in work
  bool is_stopping_ = false;
  bool has_warned_ = false;  // the thread's own, as is
  bool is_open_ = false;     // this
  std::thread thread_;       // the last member: it uses the others
};

}  // namespace pyserve
