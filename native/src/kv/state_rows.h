// The last states of sequences: rows of numbers, one for each of their latest tokens.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// A sequence has the rows of a run of positions, those that something has yet to be computed from.
// Thread: engine thread only.
class StateRows {
 public:
  // n_row: numbers in a row.
  explicit StateRows(int n_row) : n_row_(n_row) {}

  int n_row() const { return n_row_; }
  // The row of position `pos`. Where it does not follow the last one, it is the first.
  void add(SeqId seq_id, int pos, std::span<const float> row);
  // Empty: there is none. Valid until the next change.
  std::span<const float> row(SeqId seq_id, int pos) const;
  int begin(SeqId seq_id) const;
  int end(SeqId seq_id) const;

  void drop_before(SeqId seq_id, int pos);
  // Keeps those before `n_keep`.
  void truncate(SeqId seq_id, int n_keep);
  // `to` has the row before position `end`, and nothing else; if `from` has none, then nothing.
  void copy_last(SeqId from, SeqId to, int end);

  // The row before end(), as bytes with its position; empty: there is none.
  std::vector<uint8_t> save_last(SeqId seq_id) const;
  // Replaces what is there. False for bytes that are not such.
  bool restore_last(SeqId seq_id, std::span<const uint8_t> data);

 private:
  struct Run {
    int begin = 0;
    std::vector<float> values;
  };

  int end_of(const Run& run) const {
    return run.begin + static_cast<int>(run.values.size() / static_cast<size_t>(n_row_));
  }

  const int n_row_;
  std::map<SeqId, Run> runs_;  // none is empty
};

}  // namespace pyserve
