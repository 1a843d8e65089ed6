// A directory of pieces that many processes share: its files, their bounds, and who may read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/sha256.h"

namespace pyserve {

struct DirectoryLimits {
  int64_t n_bytes_max = 0;
  bool is_read_only = false;  // nothing is made, deleted or marked as used
  double max_age_s = 0;       // files that were not used for so long are deleted
};

// One folder per model and everything else that its bits depend on; the bounds are those of all
// folders together. A file's modification time is when it was last used, so that processes agree
// on which one goes first. Every call stands deletions by others at any moment.
// Thread: one at a time.
class PrefixDirectory {
 public:
  // Nothing is touched before open().
  PrefixDirectory(std::string root, std::string folder_name, const DirectoryLimits& limits)
      : root_(std::move(root)), folder_(root_ + '/' + folder_name), limits_(limits) {}

  // Makes the folder, readable for this user alone, with `about` in a file for people.
  // Returns 0 or an errno: nothing can be written then, but maybe read.
  int open(const std::string& about);

  const std::string& folder() const { return folder_; }
  const DirectoryLimits& limits() const { return limits_; }
  std::string path_of(const Digest& name) const;

  // The names of the piece files of the folder, without reading them.
  std::vector<std::string> list() const;

  // Deletes what is too old, what a dead process left half written, and what was used longest ago
  // until `n_bytes_more` fit. Returns the bytes of all folders after it.
  int64_t trim(int64_t n_bytes_more);
  // False: the file system would have too little room left.
  bool has_room(int64_t n_bytes) const;

  void remove_file(const std::string& name) const;
  // The pieces of one prefix were used, in this order: those that follow go before the others.
  void touch(const std::vector<Digest>& names) const;

 private:
  const std::string root_;
  const std::string folder_;
  const DirectoryLimits limits_;
};

}  // namespace pyserve
