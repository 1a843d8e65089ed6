#include "llama/context/memory.h"

#include <algorithm>

#include "llama-kv-cache-iswa.h"
#include "llama-kv-cache.h"
#include "llama-memory-hybrid-iswa.h"
#include "llama-memory-hybrid.h"
#include "llama-memory-recurrent.h"
#include "llama.h"

namespace pyserve {

ContextMemory::ContextMemory(llama_context* context, int n_swa)
    : context_(context), n_swa_(n_swa), memory_(llama_get_memory(context)) {
  llama_kv_cache_iswa* windowed = nullptr;
  if (auto* plain = dynamic_cast<llama_kv_cache*>(memory_)) {
    cells_ = plain;
  } else if (auto* iswa = dynamic_cast<llama_kv_cache_iswa*>(memory_)) {
    windowed = iswa;
  } else if (auto* recurrent = dynamic_cast<llama_memory_recurrent*>(memory_)) {
    recurrent_ = recurrent;
  } else if (auto* hybrid = dynamic_cast<llama_memory_hybrid*>(memory_)) {
    cells_ = hybrid->get_mem_attn();
    recurrent_ = hybrid->get_mem_recr();
  } else if (auto* hybrid_iswa = dynamic_cast<llama_memory_hybrid_iswa*>(memory_)) {
    windowed = hybrid_iswa->get_mem_attn();
    recurrent_ = hybrid_iswa->get_mem_recr();
  }
  if (windowed != nullptr) {
    cells_ = windowed->get_base();
    window_ = windowed->get_swa();
  }
  lacks_attention_ = cells_ != nullptr && recurrent_ != nullptr && window_ == nullptr &&
                     cells_->get_layer_ids().empty();
  if (cells_ != nullptr) cell_order_.emplace(*cells_);
  if (window_ != nullptr) window_order_.emplace(*window_);
  if (window_ == nullptr && n_swa > 0) {
    // A cache that is all window recycles its own cells.
    cells_ = nullptr;
    recurrent_ = nullptr;
  }
}

bool ContextMemory::has_full_window() const {
  return window_ != nullptr && window_->get_size() >= cells_->get_size();
}

bool ContextMemory::is_forgetful() const {
  return recurrent_ != nullptr || (window_ != nullptr && !has_full_window());
}

int ContextMemory::fork_from(SeqId seq_id) const {
  if (recurrent_ != nullptr) return recurrent_->seq_pos_max(seq_id) + 1;
  if (window_ == nullptr) return 0;
  // The next token looks back at n_swa positions, its own among them.
  const int pos_min = window_->seq_pos_min(seq_id);
  if (pos_min <= 0) return 0;
  return std::min(pos_min + n_swa_ - 1, window_->seq_pos_max(seq_id) + 1);
}

void ContextMemory::share(SeqId from, SeqId to, int begin, int end) {
  if (cells_ != nullptr && begin < end) cells_->seq_cp(from, to, begin, end);
}

void ContextMemory::share_state(SeqId from, SeqId to, int end) {
  if (window_ != nullptr) {
    // NOTE: a cell with two sequences is never recycled. A small cache has room for one window per
    // sequence, so no more than that may be shared.
    window_->seq_rm(to, -1, -1);
    window_->seq_cp(from, to, has_full_window() ? 0 : std::max(0, end - n_swa_), end);
  }
  if (recurrent_ != nullptr) {
    recurrent_->seq_rm(to, -1, -1);
    recurrent_->seq_cp(from, to, -1, -1);
  }
}

void ContextMemory::unshare(SeqId seq_id, int begin, int end) {
  if (cells_ != nullptr && begin < end) cells_->seq_rm(seq_id, begin, end);
}

void ContextMemory::truncate(SeqId seq_id, int n_keep) {
  if (memory_ == nullptr) return;
  if (n_keep == 0) {
    memory_->seq_rm(seq_id, -1, -1);
    return;
  }
  if (cells_ != nullptr) cells_->seq_rm(seq_id, n_keep, -1);
  if (window_ != nullptr) window_->seq_rm(seq_id, n_keep, -1);
}

std::vector<uint8_t> ContextMemory::save(SeqId seq_id, size_t n_bytes_max) const {
  const size_t n_bytes = llama_state_seq_get_size_ext(context_, seq_id, 0);
  if (n_bytes == 0 || n_bytes > n_bytes_max) return {};
  std::vector<uint8_t> data(n_bytes);
  const size_t n_written =
      llama_state_seq_get_data_ext(context_, data.data(), data.size(), seq_id, 0);
  data.resize(n_written);
  return data;
}

bool ContextMemory::restore(SeqId seq_id, const std::vector<uint8_t>& data) {
  if (llama_state_seq_set_data_ext(context_, data.data(), data.size(), seq_id, 0) > 0) return true;
  memory_->seq_rm(seq_id, -1, -1);
  return false;
}

}  // namespace pyserve
