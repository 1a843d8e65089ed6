// Which prefixes are copied to disk, piece by piece, and when.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "engine/prefixes/piece_library.h"
#include "engine/prefixes/piece_writer.h"
#include "kv/prefix_cache.h"

namespace pyserve {

struct SaverLimits {
  int n_min_tokens = 0;    // shorter prefixes are not saved
  int n_piece_tokens = 0;  // of a piece, where memory can be cut
};

// A copy is made on the engine thread, between steps: of one piece at a time, and while requests
// run so seldom that it takes a twentieth of the time. Thread: engine thread only.
class PrefixSaver {
 public:
  // The others must outlive it.
  PrefixSaver(PrefixCache& cache, const PieceLibrary& library, PieceWriter& writer,
              const SaverLimits& limits)
      : cache_(cache), library_(library), writer_(writer), limits_(limits) {}

  // These tokens are kept by the cache and may be needed again. root: what names begin with.
  void note(const std::string& key, const Digest& root, TokenSpan tokens);
  // They are about to be evicted: what was noted of them is copied now, as far as the writer takes
  // it.
  void copy_before_eviction(const std::string& key, TokenSpan tokens);

  // work() would copy something.
  bool can_work(bool is_busy) const;
  bool has_work() const { return !jobs_.empty() && !writer_.is_off(); }
  // Copies at most one piece.
  void work(bool is_busy);

 private:
  struct Job {
    std::string key;
    std::vector<Token> tokens;
    Digest parent;              // of the next piece
    int begin = 0;              // of the next piece
    std::vector<Digest> names;  // of the pieces before it
    bool is_done = false;
  };

  int next_end(const Job& job) const;
  bool step(Job& job, size_t n_bytes_max);
  void finish(Job& job);

  PrefixCache& cache_;
  const PieceLibrary& library_;
  PieceWriter& writer_;
  const SaverLimits limits_;
  std::deque<Job> jobs_;  // the newest first
  TimePoint copied_at_;
  double copy_ms_ = 0;  // of the last copy
};

}  // namespace pyserve
