#include "llama/context/lazy_buffers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "ggml-backend-impl.h"

namespace pyserve {
namespace {

using Allocate = ggml_backend_buffer_t (*)(ggml_backend_buffer_type_t, size_t);

std::mutex one_at_a_time;
Allocate allocate = nullptr;  // the vendor's

// Whole pages; false where the system does not take them.
bool give_back(uint8_t* begin, uint8_t* end) {
  return begin >= end || madvise(begin, end - begin, MADV_DONTNEED) == 0;
}

void clear(ggml_backend_buffer_t buffer, uint8_t value) {
  auto* const begin = static_cast<uint8_t*>(ggml_backend_buffer_get_base(buffer));
  uint8_t* const end = begin + ggml_backend_buffer_get_size(buffer);
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t n_before = -reinterpret_cast<uintptr_t>(begin) % page;
  const uintptr_t n_after = reinterpret_cast<uintptr_t>(end) % page;
  const bool has_pages = n_before + n_after < static_cast<uintptr_t>(end - begin);
  if (value != 0 || !has_pages || !give_back(begin + n_before, end - n_after)) {
    std::memset(begin, value, end - begin);
    return;
  }
  std::memset(begin, 0, n_before);
  std::memset(end - n_after, 0, n_after);
}

ggml_backend_buffer_t allocate_lazily(ggml_backend_buffer_type_t type, size_t n_bytes) {
  ggml_backend_buffer_t buffer = allocate(type, n_bytes);
  if (buffer != nullptr) buffer->iface.clear = clear;
  return buffer;
}

}  // namespace

LazyBuffers::LazyBuffers() : lock_(one_at_a_time) {
  ggml_backend_buffer_type* const type = ggml_backend_cpu_buffer_type();
  allocate = type->iface.alloc_buffer;
  PYSERVE_CHECK(allocate != allocate_lazily);
  type->iface.alloc_buffer = allocate_lazily;
}

LazyBuffers::~LazyBuffers() { ggml_backend_cpu_buffer_type()->iface.alloc_buffer = allocate; }

}  // namespace pyserve
