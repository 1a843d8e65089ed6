#include "kernels/matmul/panels.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "ggml-backend.h"
#include "ggml.h"
#include "kernels/matmul/int8_gemm.h"
#include "kernels/matmul/panel_types.h"

namespace pyserve {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kGiveBackBytes = 256 << 10;
constexpr size_t kScaleBytes = 2;  // of a block of 32

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// How a row is written before it is dealt out.
struct RowForm {
  size_t block_bytes;   // in the file
  int n_together;       // blocks that are written together
  size_t packed_bytes;  // of them
};

RowForm row_form(ggml_type type) {
  const size_t bytes = ggml_type_size(type);
  switch (type) {
    case GGML_TYPE_Q4_1:
    case GGML_TYPE_Q5_1:
    case GGML_TYPE_Q4_K:
    case GGML_TYPE_Q5_K:
      return {bytes, 1, bytes};
    case GGML_TYPE_Q4_0:
    case GGML_TYPE_Q5_0:
    case GGML_TYPE_Q8_0:
      return {bytes, 2, 2 * bytes};
    case GGML_TYPE_Q6_K:
      return {bytes, 1, bytes + 2};
    default:
      return {};
  }
}

size_t packed_row_bytes(const ggml_tensor* weights) {
  const RowForm form = row_form(weights->type);
  const auto n_blocks = static_cast<size_t>(weights->ne[0] / ggml_blck_size(weights->type));
  return n_blocks / form.n_together * form.packed_bytes;
}

size_t n_panels(const ggml_tensor* weights) {
  return static_cast<size_t>((weights->ne[1] + kGemmRows - 1) / kGemmRows);
}

size_t all_bytes(const ggml_tensor* weights) { return n_panels(weights) * panel_bytes(weights); }

bool can_lay_out(const ggml_tensor* weights) {
  const RowForm form = row_form(weights->type);
  if (form.n_together == 0 || weights->ne[2] != 1 || weights->ne[3] != 1) return false;
  const int64_t n_blocks = weights->ne[0] / ggml_blck_size(weights->type);
  return n_blocks % form.n_together == 0 && weights->nb[0] == form.block_bytes &&
         weights->nb[1] == ggml_row_size(weights->type, weights->ne[0]) &&
         weights->extra == nullptr && weights->buffer != nullptr &&
         ggml_backend_buffer_is_host(weights->buffer);
}

void pack_row(const RowForm& form, const char* row, size_t n_bytes, char* out) {
  const size_t rest = form.block_bytes - kScaleBytes;
  for (const char* end = out + n_bytes; out < end; out += form.packed_bytes) {
    if (form.n_together == 1) {
      std::memcpy(out, row, form.block_bytes);
    } else {
      const char* second = row + form.block_bytes;
      std::memcpy(out, row + kScaleBytes, rest);
      std::memcpy(out + rest, second + kScaleBytes, rest);
      std::memcpy(out + 2 * rest, row, kScaleBytes);
      std::memcpy(out + 2 * rest + kScaleBytes, second, kScaleBytes);
    }
    row += form.n_together * form.block_bytes;
  }
}

// What was read of a mapped file can be read again: its pages go back to the system.
class ReadPages {
 public:
  explicit ReadPages(const ggml_tensor* weights)
      : is_file_(std::string_view(ggml_backend_buffer_name(weights->buffer)) == "CPU_Mapped"),
        begin_(round_up(reinterpret_cast<uintptr_t>(weights->data), page_bytes())) {}

  // All before `end` has been read; waits until that is at least `n_bytes`.
  void give_back(const char* end, size_t n_bytes) {
    const uintptr_t last = reinterpret_cast<uintptr_t>(end) / page_bytes() * page_bytes();
    if (!is_file_ || last < begin_ + n_bytes) return;
    madvise(reinterpret_cast<void*>(begin_), last - begin_, MADV_DONTNEED);
    begin_ = last;
  }

 private:
  static size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

  bool is_file_;
  uintptr_t begin_;
};

void lay_out(const ggml_tensor* weights, DealOutFn deal_out, char* out) {
  const RowForm form = row_form(weights->type);
  const size_t row_bytes = packed_row_bytes(weights);
  const bool is_packed = form.n_together > 1 || form.packed_bytes != form.block_bytes;
  std::vector<char> packed(is_packed ? kGemmRows * row_bytes : 0);  // with zeros between blocks
  ReadPages pages(weights);
  const auto* data = static_cast<const char*>(weights->data);
  for (size_t panel = 0; panel < n_panels(weights); ++panel) {
    const char* rows[kGemmRows];
    for (int i = 0; i < kGemmRows; ++i) {
      const int64_t row = std::min<int64_t>(panel * kGemmRows + i, weights->ne[1] - 1);
      rows[i] = data + row * weights->nb[1];
      if (!is_packed) continue;
      pack_row(form, rows[i], row_bytes, packed.data() + i * row_bytes);
      rows[i] = packed.data() + i * row_bytes;
    }
    deal_out(rows, row_bytes, out);
    out += panel_bytes(weights);
    pages.give_back(
        data + std::min<int64_t>((panel + 1) * kGemmRows, weights->ne[1]) * weights->nb[1],
        kGiveBackBytes);
  }
  pages.give_back(data + ggml_nbytes(weights), 1);
}

// Nullptr when there is no memory.
char* map_huge(size_t n_bytes) {
  // Aligned for huge pages by mapping one more and giving back what is outside.
  void* mapped = mmap(nullptr, n_bytes + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(mapped);
  char* memory = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(mapped), kHugePage));
  const size_t before = memory - begin;
  if (before > 0) munmap(begin, before);
  if (before < kHugePage) munmap(memory + n_bytes, kHugePage - before);
  madvise(memory, n_bytes, MADV_HUGEPAGE);
  return memory;
}

}  // namespace

bool are_best_in_panels(ggml_type type) {
  const Int8GemmKernels* kernels = int8_gemm_kernels(rung_in_force());
  if (kernels == nullptr || row_form(type).n_together == 0) return false;
  if (rung_in_force() == Rung::kAmx) return false;  // the vendored library has a place for them
  return type != GGML_TYPE_Q4_K || kernels->q4_kx8.n_min_columns == 1;
}

Panels::Panels(std::span<ggml_tensor* const> weights) {
  const Int8GemmKernels* kernels = int8_gemm_kernels(rung_in_force());
  if (kernels == nullptr) return;
  for (ggml_tensor* each : weights) {
    if (can_lay_out(each)) weights_.push_back(each);
  }
  for (const ggml_tensor* each : weights_) n_bytes_ += all_bytes(each);
  n_bytes_ = round_up(n_bytes_, kHugePage);
  memory_ = n_bytes_ == 0 ? nullptr : map_huge(n_bytes_);
  if (memory_ == nullptr) {
    n_bytes_ = 0;
    weights_.clear();
  }
  char* out = memory_;
  for (ggml_tensor* each : weights_) {
    lay_out(each, kernels->deal_out, out);
    each->extra = out;
    out += all_bytes(each);
  }
}

Panels::~Panels() {
  for (ggml_tensor* each : weights_) each->extra = nullptr;
  if (memory_ != nullptr) munmap(memory_, n_bytes_);
}

Panels::Panels(Panels&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      n_bytes_(std::exchange(other.n_bytes_, 0)),
      weights_(std::exchange(other.weights_, {})) {}

Panels& Panels::operator=(Panels&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(n_bytes_, other.n_bytes_);
  std::swap(weights_, other.weights_);
  return *this;
}

const char* panels_of(const ggml_tensor* weights) {
  return static_cast<const char*>(weights->extra);
}

size_t panel_bytes(const ggml_tensor* weights) { return kGemmRows * packed_row_bytes(weights); }

}  // namespace pyserve
