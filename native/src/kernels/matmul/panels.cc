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
#include "kernels/matmul/weight_types.h"

namespace pyserve {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kGiveBackBytes = 256 << 10;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

size_t n_panels(const ggml_tensor* weights) {
  return static_cast<size_t>(panels_of_a_matrix(weights) * weights->ne[2]);
}

bool has_shape_for(const WeightType& type, const ggml_tensor* weights) {
  const int64_t n_blocks = weights->ne[0] / ggml_blck_size(weights->type);
  return type.kernel(WeightLayout::kPanel) != nullptr && weights->ne[3] == 1 &&
         n_blocks % type.panel_form.n_multiple == 0;
}

bool can_lay_out(const WeightType& type, const ggml_tensor* weights) {
  return has_shape_for(type, weights) && weights->nb[0] == ggml_type_size(weights->type) &&
         weights->nb[1] == ggml_row_size(weights->type, weights->ne[0]) &&
         weights->nb[2] == weights->nb[1] * weights->ne[1] && weights->extra == nullptr &&
         weights->buffer != nullptr && ggml_backend_buffer_is_host(weights->buffer);
}

void pack_row(const PanelForm& form, size_t block_bytes, const char* row, size_t n_blocks,
              char* out) {
  const size_t rest = block_bytes - form.scale_bytes;
  for (; n_blocks > 0; out += form.packed_bytes) {
    const size_t n = std::min<size_t>(form.n_together, n_blocks);
    char* const scales = out + n * rest;
    for (size_t i = 0; i < n; ++i, row += block_bytes) {
      std::memcpy(out + i * rest, row + form.scale_bytes, rest);
      std::memcpy(scales + i * form.scale_bytes, row, form.scale_bytes);
    }
    n_blocks -= n;
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

void lay_out(const WeightType& type, const ggml_tensor* weights, DealOutFn deal_out, char* out) {
  const PanelForm& form = type.panel_form;
  const size_t panel_bytes = type.panel_bytes(weights->ne[0]);
  const size_t row_bytes = panel_bytes / kGemmRows;
  const size_t block_bytes = ggml_type_size(weights->type);
  const size_t n_blocks = weights->ne[0] / ggml_blck_size(weights->type);
  const bool is_packed = form.n_together > 1 || form.packed_bytes != block_bytes;
  std::vector<char> packed(is_packed ? kGemmRows * row_bytes : 0);  // with zeros between blocks
  ReadPages pages(weights);
  const auto* data = static_cast<const char*>(weights->data);
  const auto n_each = static_cast<size_t>(panels_of_a_matrix(weights));
  for (size_t panel = 0; panel < n_panels(weights); ++panel) {
    const char* const matrix = data + panel / n_each * weights->nb[2];
    const int64_t first_row = static_cast<int64_t>(panel % n_each) * kGemmRows;
    const char* rows[kGemmRows];
    for (int i = 0; i < kGemmRows; ++i) {
      rows[i] = matrix + std::min(first_row + i, weights->ne[1] - 1) * weights->nb[1];
      if (!is_packed) continue;
      pack_row(form, block_bytes, rows[i], n_blocks, packed.data() + i * row_bytes);
      rows[i] = packed.data() + i * row_bytes;
    }
    deal_out(rows, row_bytes, out);
    out += panel_bytes;
    pages.give_back(matrix + std::min(first_row + kGemmRows, weights->ne[1]) * weights->nb[1],
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

Panels::Panels(std::span<ggml_tensor* const> weights) {
  const Int8GemmKernels* kernels = int8_gemm_kernels(rung_in_force());
  if (kernels == nullptr) return;
  struct Place {
    const WeightType* type;
    size_t begin;
  };
  std::vector<Place> places;
  for (ggml_tensor* each : weights) {
    const WeightType* type = kernels->find(each->type);
    if (type == nullptr || !can_lay_out(*type, each)) continue;
    weights_.push_back(each);
    places.push_back({type, n_bytes_});
    n_bytes_ += n_panels(each) * type->panel_bytes(each->ne[0]);
  }
  n_bytes_ = round_up(n_bytes_, kHugePage);
  memory_ = n_bytes_ == 0 ? nullptr : map_huge(n_bytes_);
  if (memory_ == nullptr) {
    n_bytes_ = 0;
    weights_.clear();
  }
  for (size_t i = 0; i < weights_.size(); ++i) {
    char* const out = memory_ + places[i].begin;
    lay_out(*places[i].type, weights_[i], kernels->deal_out, out);
    weights_[i]->extra = out;
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

bool are_best_in_panels(const ggml_tensor* weights) {
  const Int8GemmKernels* kernels = int8_gemm_kernels(rung_in_force());
  const WeightType* type = kernels == nullptr ? nullptr : kernels->find(weights->type);
  return type != nullptr && has_shape_for(*type, weights) && is_best_in_panels(weights->type);
}

int64_t panels_of_a_matrix(const ggml_tensor* weights) {
  return (weights->ne[1] + kGemmRows - 1) / kGemmRows;
}

const char* panels_of(const ggml_tensor* weights) {
  return static_cast<const char*>(weights->extra);
}

}  // namespace pyserve
