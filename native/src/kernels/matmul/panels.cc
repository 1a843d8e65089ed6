#include "kernels/matmul/panels.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/matmul/weight_types.h"

namespace pyserve {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kGiveBackBytes = 256 << 10;
constexpr size_t kJobBytes = size_t{4} << 20;

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
  // begin: of what is read of `weights`; its first page may go back while others read it.
  ReadPages(const ggml_tensor* weights, const char* begin)
      : is_file_(std::string_view(ggml_backend_buffer_name(weights->buffer)) == "CPU_Mapped"),
        begin_(reinterpret_cast<uintptr_t>(begin) / page_bytes() * page_bytes()) {}

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

// Panels [first, end) of some weights, to be written to `out`.
struct Job {
  const WeightType* type;
  const ggml_tensor* weights;
  size_t first;
  size_t end;
  char* out;
};

// Where the rows of a panel begin.
struct PanelRows {
  PanelRows(const ggml_tensor* weights, size_t panel) {
    const auto n_each = static_cast<size_t>(panels_of_a_matrix(weights));
    matrix = static_cast<const char*>(weights->data) + panel / n_each * weights->nb[2];
    first = static_cast<int64_t>(panel % n_each) * kGemmRows;
  }
  const char* matrix;
  int64_t first;
};

void lay_out(const Job& job, DealOutFn deal_out) {
  const WeightType& type = *job.type;
  const ggml_tensor* const weights = job.weights;
  const PanelForm& form = type.panel_form;
  const size_t panel_bytes = type.panel_bytes(weights->ne[0]);
  const size_t row_bytes = panel_bytes / kGemmRows;
  const size_t block_bytes = ggml_type_size(weights->type);
  const size_t n_blocks = weights->ne[0] / ggml_blck_size(weights->type);
  const bool is_packed = form.n_together > 1 || form.packed_bytes != block_bytes;
  std::vector<char> packed(is_packed ? kGemmRows * row_bytes : 0);  // with zeros between blocks
  const PanelRows begin(weights, job.first);
  const char* read = begin.matrix + begin.first * weights->nb[1];
  ReadPages pages(weights, read);
  char* out = job.out;
  for (size_t panel = job.first; panel < job.end; ++panel) {
    const auto [matrix, first_row] = PanelRows(weights, panel);
    const char* rows[kGemmRows];
    for (int i = 0; i < kGemmRows; ++i) {
      rows[i] = matrix + std::min(first_row + i, weights->ne[1] - 1) * weights->nb[1];
      if (!is_packed) continue;
      pack_row(form, block_bytes, rows[i], n_blocks, packed.data() + i * row_bytes);
      rows[i] = packed.data() + i * row_bytes;
    }
    deal_out(rows, row_bytes, out);
    out += panel_bytes;
    read = matrix + std::min(first_row + kGemmRows, weights->ne[1]) * weights->nb[1];
    pages.give_back(read, kGiveBackBytes);
  }
  pages.give_back(read, 1);
}

// Adds the panels of `weights`, from `out` on, in parts that keep all threads busy to the end.
void add_jobs(const WeightType& type, const ggml_tensor* weights, char* out,
              std::vector<Job>& jobs) {
  const size_t panel_bytes = type.panel_bytes(weights->ne[0]);
  const size_t n_most = std::max<size_t>(kJobBytes / panel_bytes, 1);
  for (size_t first = 0; first < n_panels(weights); first += n_most) {
    const size_t end = std::min(first + n_most, n_panels(weights));
    jobs.push_back({&type, weights, first, end, out + first * panel_bytes});
  }
}

struct Work {
  const std::vector<Job>& jobs;
  const DealOutFn deal_out;
  std::atomic<size_t> next = 0;
};

void take_jobs(ggml_tensor* /*out*/, int /*thread*/, int /*n_threads*/, void* argument) {
  auto* const work = static_cast<Work*>(argument);
  const size_t n_jobs = work->jobs.size();
  for (size_t i = work->next++; i < n_jobs; i = work->next++) {
    lay_out(work->jobs[i], work->deal_out);
  }
}

// Does all jobs as the node of a graph, with the vendor's threads.
void do_jobs(const std::vector<Job>& jobs, DealOutFn deal_out, int n_threads) {
  constexpr size_t kGraphBytes = 64 << 10;
  Work work{jobs, deal_out};
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
      ggml_init({kGraphBytes, nullptr, false}), ggml_free);
  ggml_cgraph* graph = ggml_new_graph_custom(context.get(), 1, false);
  ggml_build_forward_expand(graph, ggml_custom_4d(context.get(), GGML_TYPE_F32, 1, 1, 1, 1, nullptr,
                                                  0, take_jobs, GGML_N_TASKS_MAX, &work));
  ggml_graph_compute_with_ctx(context.get(), graph, n_threads);
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

Panels::Panels(std::span<ggml_tensor* const> weights, int n_threads) {
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
  std::vector<Job> jobs;
  for (size_t i = 0; i < weights_.size(); ++i) {
    add_jobs(*places[i].type, weights_[i], memory_ + places[i].begin, jobs);
  }
  do_jobs(jobs, kernels->deal_out, n_threads);
  for (size_t i = 0; i < weights_.size(); ++i) weights_[i]->extra = memory_ + places[i].begin;
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
