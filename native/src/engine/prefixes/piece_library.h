// The pieces of prefixes on disk, as the threads of an engine see them.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "disk/directory.h"
#include "disk/piece_index.h"

namespace pyserve {

// The directory and the index of what it holds. Thread: any.
class PieceLibrary {
 public:
  PieceLibrary(PrefixDirectory directory, bool is_cuttable)
      : directory_(std::move(directory)), index_(is_cuttable) {}

  PieceChain find(const Digest& root, TokenSpan tokens) const;
  bool has(const Digest& name) const;
  // Reads the heads of files that are new since the last time, forgets those that are gone, and
  // deletes what is no piece. Takes as long as the disk.
  void scan();
  // Keeps the directory within its bounds, and `n_bytes_more` beside it.
  void trim(int64_t n_bytes_more);

  // 0 or an errno; EROFS where nothing is to be written.
  int open(const std::string& about) { return directory_.open(about); }
  int write(const PieceHead& head, const std::vector<uint8_t>& data);
  // A piece that is damaged is deleted; one that cannot be read is forgotten.
  PieceFile read(const Piece& piece);
  void touch(const std::vector<Digest>& names) const { directory_.touch(names); }

  bool is_read_only() const { return directory_.limits().is_read_only; }
  // Of the directory, other models' pieces included.
  int64_t n_bytes() const { return n_bytes_; }
  size_t n_pieces() const;

 private:
  void forget(const Digest& name, bool deletes);
  bool is_new(const std::string& file);

  PrefixDirectory directory_;  // its own state does not change after open()
  mutable std::mutex mutex_;   // of what follows
  PieceIndex index_;
  std::unordered_set<std::string> files_;  // of the pieces in the index
  std::atomic<int64_t> n_bytes_{0};
};

}  // namespace pyserve
