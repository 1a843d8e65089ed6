#include "kv/state_rows.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace pyserve {

void StateRows::add(SeqId seq_id, int pos, std::span<const float> row) {
  PYSERVE_CHECK(static_cast<int>(row.size()) == n_row_);
  Run& run = runs_[seq_id];
  if (end_of(run) != pos) run = {pos, {}};
  run.values.insert(run.values.end(), row.begin(), row.end());
}

std::span<const float> StateRows::row(SeqId seq_id, int pos) const {
  const auto it = runs_.find(seq_id);
  if (it == runs_.end() || pos < it->second.begin || pos >= end_of(it->second)) return {};
  const auto n_row = static_cast<size_t>(n_row_);
  return std::span(it->second.values).subspan((pos - it->second.begin) * n_row, n_row);
}

int StateRows::begin(SeqId seq_id) const {
  const auto it = runs_.find(seq_id);
  return it == runs_.end() ? 0 : it->second.begin;
}

int StateRows::end(SeqId seq_id) const {
  const auto it = runs_.find(seq_id);
  return it == runs_.end() ? 0 : end_of(it->second);
}

void StateRows::drop_before(SeqId seq_id, int pos) {
  const auto it = runs_.find(seq_id);
  if (it == runs_.end() || pos <= it->second.begin) return;
  Run& run = it->second;
  if (pos >= end_of(run)) {
    runs_.erase(it);
    return;
  }
  const std::ptrdiff_t n_values = std::ptrdiff_t{n_row_} * (pos - run.begin);
  run.values.erase(run.values.begin(), run.values.begin() + n_values);
  run.begin = pos;
}

void StateRows::truncate(SeqId seq_id, int n_keep) {
  const auto it = runs_.find(seq_id);
  if (it == runs_.end() || n_keep >= end_of(it->second)) return;
  if (n_keep <= it->second.begin) {
    runs_.erase(it);
    return;
  }
  it->second.values.resize(static_cast<size_t>(n_keep - it->second.begin) * n_row_);
}

void StateRows::copy_last(SeqId from, SeqId to, int end) {
  const std::span<const float> last = row(from, end - 1);
  const std::vector<float> copy(last.begin(), last.end());
  runs_.erase(to);
  if (!copy.empty()) add(to, end - 1, copy);
}

std::vector<uint8_t> StateRows::save_last(SeqId seq_id) const {
  const int32_t pos = end(seq_id) - 1;
  const std::span<const float> last = row(seq_id, pos);
  if (last.empty()) return {};
  std::vector<uint8_t> data(sizeof(pos) + last.size_bytes());
  std::memcpy(data.data(), &pos, sizeof(pos));
  std::memcpy(data.data() + sizeof(pos), last.data(), last.size_bytes());
  return data;
}

bool StateRows::restore_last(SeqId seq_id, std::span<const uint8_t> data) {
  runs_.erase(seq_id);
  if (data.empty()) return true;
  int32_t pos = 0;
  std::vector<float> row(n_row_);
  const size_t n_bytes = row.size() * sizeof(float);
  if (data.size() != sizeof(pos) + n_bytes) return false;
  std::memcpy(&pos, data.data(), sizeof(pos));
  std::memcpy(row.data(), data.data() + sizeof(pos), n_bytes);
  if (pos < 0) return false;
  add(seq_id, pos, row);
  return true;
}

}  // namespace pyserve
