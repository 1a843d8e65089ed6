#include "llama/context/lazy_buffers.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ggml-backend.h"

using namespace pyserve;

namespace {

constexpr size_t kBytes = (size_t{64} << 20) + 1000;

struct Free {
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};
using Buffer = std::unique_ptr<ggml_backend_buffer, Free>;

Buffer make(bool is_lazy) {
  if (!is_lazy)
    return Buffer(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), kBytes));
  const LazyBuffers are_lazy;
  return Buffer(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), kBytes));
}

std::span<uint8_t> bytes_of(const Buffer& buffer) {
  return {static_cast<uint8_t*>(ggml_backend_buffer_get_base(buffer.get())), kBytes};
}

// The share of its pages that are in memory.
double resident(const Buffer& buffer) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  uint8_t* const base = bytes_of(buffer).data();
  uint8_t* const begin = base + (page - reinterpret_cast<uintptr_t>(base) % page) % page;
  std::vector<unsigned char> pages((kBytes - (begin - base)) / page);
  REQUIRE(mincore(begin, pages.size() * page, pages.data()) == 0);
  const auto n = std::ranges::count_if(pages, [](unsigned char flags) { return (flags & 1) != 0; });
  return static_cast<double>(n) / static_cast<double>(pages.size());
}

bool are_all(const Buffer& buffer, uint8_t value) {
  return std::ranges::all_of(bytes_of(buffer), [&](uint8_t byte) { return byte == value; });
}

}  // namespace

TEST_CASE("a lazy buffer that is cleared takes no memory, and has zeros") {
  const Buffer buffer = make(true);
  ggml_backend_buffer_clear(buffer.get(), 0);
  CHECK(resident(buffer) < 0.1);
  CHECK(are_all(buffer, 0));
}

TEST_CASE("what was written is cleared to the last byte, and its memory given back") {
  const Buffer buffer = make(true);
  std::ranges::fill(bytes_of(buffer), 7);
  CHECK(resident(buffer) > 0.9);
  ggml_backend_buffer_clear(buffer.get(), 0);
  CHECK(resident(buffer) < 0.1);
  CHECK(are_all(buffer, 0));
  ggml_backend_buffer_clear(buffer.get(), 5);
  CHECK(are_all(buffer, 5));
}

TEST_CASE("other buffers are as they were") {
  make(true);
  const Buffer buffer = make(false);
  ggml_backend_buffer_clear(buffer.get(), 0);
  CHECK(resident(buffer) > 0.9);
}
