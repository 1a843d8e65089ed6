#include "kv/paired_memory.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace pyserve {
namespace {

// A copy: the sizes of its parts, and these: model, head, row.
using Sizes = std::array<uint64_t, 3>;

}  // namespace

int PairedMemory::fork_from(SeqId seq_id) const {
  return std::max(model_.fork_from(seq_id), head_.fork_from(seq_id));
}

void PairedMemory::share(SeqId from, SeqId to, int begin, int end) {
  model_.share(from, to, begin, end);
  head_.share(from, to, begin, end);
}

void PairedMemory::share_state(SeqId from, SeqId to, int end) {
  model_.share_state(from, to, end);
  head_.share_state(from, to, end);
  rows_.copy_last(from, to, end);
}

void PairedMemory::unshare(SeqId seq_id, int begin, int end) {
  model_.unshare(seq_id, begin, end);
  head_.unshare(seq_id, begin, end);
}

void PairedMemory::truncate(SeqId seq_id, int n_keep) {
  model_.truncate(seq_id, n_keep);
  head_.truncate(seq_id, n_keep);
  rows_.truncate(seq_id, n_keep);
}

void PairedMemory::repeat(SeqId seq_id, int n_keep) {
  model_.repeat(seq_id, n_keep);
  rows_.truncate(seq_id, n_keep);
}

std::vector<uint8_t> PairedMemory::save(SeqId seq_id, size_t n_bytes_max) const {
  const std::vector<uint8_t> model = model_.save(seq_id, n_bytes_max);
  if (model.empty()) return {};
  const std::vector<uint8_t> head = head_.save(seq_id, n_bytes_max);
  const std::vector<uint8_t> row = rows_.save_last(seq_id);
  const Sizes sizes{model.size(), head.size(), row.size()};
  std::vector<uint8_t> data(sizeof(sizes));
  std::memcpy(data.data(), sizes.data(), sizeof(sizes));
  for (const std::vector<uint8_t>* part : {&model, &head, &row}) {
    data.insert(data.end(), part->begin(), part->end());
  }
  if (data.size() > n_bytes_max) data.clear();
  return data;
}

bool PairedMemory::restore(SeqId seq_id, const std::vector<uint8_t>& data) {
  Sizes sizes{};
  if (data.size() < sizeof(sizes)) return false;
  std::memcpy(sizes.data(), data.data(), sizeof(sizes));
  const uint64_t n_parts = data.size() - sizeof(sizes);
  if (sizes[0] > n_parts || sizes[1] > n_parts - sizes[0] ||
      sizes[2] != n_parts - sizes[0] - sizes[1]) {
    return false;
  }
  const auto begin = data.begin() + sizeof(sizes);
  const auto head_begin = begin + static_cast<std::ptrdiff_t>(sizes[0]);
  const auto row_begin = head_begin + static_cast<std::ptrdiff_t>(sizes[1]);
  if (!model_.restore(seq_id, {begin, head_begin})) return false;
  // NOTE: without its part the head goes on with the tokens that come.
  if (sizes[1] > 0) head_.restore(seq_id, {head_begin, row_begin});
  rows_.restore_last(seq_id, std::span(data).last(sizes[2]));
  return true;
}

}  // namespace pyserve
