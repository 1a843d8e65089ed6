// pyserve_bench_limits [MIB]: what the machine could do at most, for `bench.micro.rungs` to set
// beside what kernels do. Prints a line for each limit: its name, the rung or "-", threads, figure.
//
//   read_gb_per_s      memory that is only read, MIB for all threads, by the wall's clock
//   int8_g_mul_per_s   multiplications of bytes in registers, by the threads' own clocks; without
//                      VNNI they are those of pairs, which are added up in two more instructions

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/kernel_rung.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pyserve::bench {
namespace {

constexpr int kRounds = 7;
constexpr size_t kMib = size_t{1} << 20;

// Takes what is computed, so that it is.
std::atomic<uint64_t> sink{0};

double wall_s() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

double processor_s() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void on_threads(int n, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int i = 1; i < n; ++i) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
}

void print(const char* name, std::string_view rung, int n_threads, double figure) {
  std::printf("%s %.*s %d %.1f\n", name, static_cast<int>(rung.size()), rung.data(), n_threads,
              figure);
  std::fflush(stdout);
}

// Memory of zeros that are really there, in large pages where the system has them.
class Memory {
 public:
  explicit Memory(size_t n_bytes) : n_bytes_(n_bytes) {
    void* got = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) {
      std::fprintf(stderr, "no memory for %zu bytes\n", n_bytes);
      std::exit(1);
    }
    words_ = static_cast<uint64_t*>(got);
    madvise(words_, n_bytes, MADV_HUGEPAGE);
    std::fill_n(words_, n_words(), 1);
  }
  ~Memory() { munmap(words_, n_bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  const uint64_t* words() const { return words_; }
  size_t n_words() const { return n_bytes_ / sizeof(uint64_t); }

 private:
  size_t n_bytes_;
  uint64_t* words_;
};

// Eight sums, so that no addition waits for the one before.
uint64_t sum(const uint64_t* words, size_t n_words) {
  constexpr size_t kSums = 8;
  uint64_t sums[kSums] = {};
  for (size_t i = 0; i < n_words; i += kSums) {
    for (size_t j = 0; j < kSums; ++j) sums[j] += words[i + j];
  }
  uint64_t total = 0;
  for (const uint64_t each : sums) total += each;
  return total;
}

double read_gb_per_s(int n_threads, size_t n_bytes) {
  std::vector<double> begin_s(n_threads * kRounds);
  std::vector<double> end_s(n_threads * kRounds);
  std::barrier together(n_threads);
  on_threads(n_threads, [&](int thread) {
    const Memory memory(n_bytes);
    for (int round = 0; round < kRounds; ++round) {
      together.arrive_and_wait();
      begin_s[round * n_threads + thread] = wall_s();
      sink = sum(memory.words(), memory.n_words());
      end_s[round * n_threads + thread] = wall_s();
    }
  });
  double least_s = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto at = round * n_threads;
    const double first_s = *std::min_element(&begin_s[at], &begin_s[at] + n_threads);
    const double last_s = *std::max_element(&end_s[at], &end_s[at] + n_threads);
    least_s = std::min(least_s, last_s - first_s);
  }
  return static_cast<double>(n_bytes) * n_threads / least_s / 1e9;
}

void print_reading(int n_threads, size_t n_mib) {
  constexpr size_t kLeastMib = 64;  // more than a core has of its own
  const size_t n_bytes = std::max(n_mib / n_threads, kLeastMib) * kMib;
  print("read_gb_per_s", "-", n_threads, read_gb_per_s(n_threads, n_bytes));
}

// Does `n_steps` steps of the widest products of a rung; n_products: multiplications of one step.
struct Products {
  Rung rung;
  int64_t n_products;
  void (*run)(int64_t n_steps);
};

#if defined(__x86_64__)

constexpr int kSums = 8;  // products that do not wait for one another

// The assembler's empty lines keep the compiler from computing a product once for all steps.
__attribute__((target("avx2"))) void products_avx2(int64_t n_steps) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(5);
  __m256i sums[kSums];
  for (__m256i& each : sums) each = _mm256_setzero_si256();
  for (int64_t i = 0; i < n_steps; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) {
      __asm__ volatile("" : "+x"(a));
      const __m256i pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones);
      sums[j] = _mm256_add_epi32(sums[j], pairs);
    }
  }
  for (const __m256i& each : sums) sink += _mm256_extract_epi32(each, 0);
}

__attribute__((target("avx512f,avx512bw"))) void products_avx512bw(int64_t n_steps) {
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(5);
  __m512i sums[kSums];
  for (__m512i& each : sums) each = _mm512_setzero_si512();
  for (int64_t i = 0; i < n_steps; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) {
      __asm__ volatile("" : "+v"(a));
      const __m512i pairs = _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), ones);
      sums[j] = _mm512_add_epi32(sums[j], pairs);
    }
  }
  for (const __m512i& each : sums) sink += _mm512_cvtsi512_si32(each);
}

__attribute__((target("avx512f,avx512vnni"))) void products_avx512vnni(int64_t n_steps) {
  const __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(5);
  __m512i sums[2 * kSums];
  for (__m512i& each : sums) each = _mm512_setzero_si512();
  for (int64_t i = 0; i < n_steps; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < 2 * kSums; ++j) sums[j] = _mm512_dpbusd_epi32(sums[j], a, b);
  }
  for (const __m512i& each : sums) sink += _mm512_cvtsi512_si32(each);
}

// Source: Intel's description of LDTILECFG, and Linux's of how a program asks for tiles.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

__attribute__((target("amx-tile,amx-int8"))) void products_amx(int64_t n_steps) {
  constexpr long kAskFor = 0x1023;
  constexpr int kTileData = 18;
  if (syscall(SYS_arch_prctl, kAskFor, kTileData) != 0) return;
  const TileConfig config;
  const std::vector<uint8_t> bytes(1024, 1);
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, bytes.data(), 64);
  _tile_loadd(5, bytes.data(), 64);
  _tile_loadd(6, bytes.data(), 64);
  _tile_loadd(7, bytes.data(), 64);
  for (int64_t i = 0; i < n_steps; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
}

constexpr Products kProducts[] = {
    {Rung::kAmx, int64_t{4} * 16 * 16 * 64, products_amx},
    {Rung::kAvx512Vnni, int64_t{2} * kSums * 64, products_avx512vnni},
    {Rung::kAvx512Bw, int64_t{kSums} * 64, products_avx512bw},
    {Rung::kAvx2, int64_t{kSums} * 32, products_avx2},
};

#endif

[[maybe_unused]] void print_products(const Products& products, int n_threads) {
  const int64_t n_steps = (int64_t{1} << 32) / products.n_products;
  std::vector<double> least_s(n_threads, 1e9);
  on_threads(n_threads, [&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      const double begin_s = processor_s();
      products.run(n_steps);
      least_s[thread] = std::min(least_s[thread], processor_s() - begin_s);
    }
  });
  double per_s = 0;
  for (const double s : least_s) per_s += static_cast<double>(n_steps * products.n_products) / s;
  print("int8_g_mul_per_s", name_of(products.rung), n_threads, per_s / 1e9);
}

}  // namespace
}  // namespace pyserve::bench

int main(int argc, char** argv) {
  using namespace pyserve::bench;
  constexpr long kDefaultMib = 1024;
  const size_t n_mib = argc > 1 ? std::strtol(argv[1], nullptr, 10) : kDefaultMib;
  const int n_most = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<int> counts{1};
  if (n_most > 1) counts.push_back(n_most);
  for (const int n : counts) print_reading(n, n_mib);
#if defined(__x86_64__)
  for (const Products& products : kProducts) {
    if (!pyserve::can_run(products.rung)) continue;
    for (const int n : counts) print_products(products, n);
  }
#endif
  return 0;
}
