#include "llama/model/identity.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <random>
#include <vector>

#include "ggml.h"
#include "gguf.h"
#include "llama.h"

namespace pyserve {
namespace {

constexpr uint64_t kWholeBytes = 64 * 1024;  // of a tensor
constexpr uint64_t kSampleBytes = 1024;
constexpr uint64_t kSampleInterval = 1024 * 1024;
constexpr uint64_t kMinSamples = 3;
constexpr const char* kSplitCount = "split.count";

using GgufPtr = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

GgufPtr open_head(const std::string& path) {
  gguf_init_params params = {};
  params.no_alloc = true;
  return {gguf_init_from_file(path.c_str(), params), gguf_free};
}

class FileSamples {
 public:
  explicit FileSamples(const std::string& path) : file_(path, std::ios::binary) {}

  // False: they cannot be read.
  bool add(Sha256& hash, uint64_t begin, uint64_t n_bytes) {
    bytes_.resize(n_bytes);
    file_.seekg(static_cast<std::streamoff>(begin));
    file_.read(reinterpret_cast<char*>(bytes_.data()), static_cast<std::streamsize>(n_bytes));
    if (!file_) return false;
    hash.add(bytes_);
    return true;
  }

  // The first and the last bytes, and some between them.
  bool add_samples(Sha256& hash, uint64_t begin, uint64_t n_bytes) {
    if (n_bytes <= kWholeBytes) return add(hash, begin, n_bytes);
    const uint64_t n_samples = std::max(kMinSamples, n_bytes / kSampleInterval);
    const uint64_t n_last = n_bytes - kSampleBytes;
    for (uint64_t i = 0; i < n_samples; ++i) {
      if (!add(hash, begin + n_last * i / (n_samples - 1), kSampleBytes)) return false;
    }
    return true;
  }

 private:
  std::ifstream file_;
  std::vector<uint8_t> bytes_;
};

bool add_file(Sha256& hash, const std::string& path, const gguf_context* head) {
  FileSamples file(path);
  const uint64_t n_head = gguf_get_data_offset(head);
  hash.add_number(n_head);
  if (!file.add(hash, 0, n_head)) return false;
  for (int64_t i = 0; i < gguf_get_n_tensors(head); ++i) {
    const uint64_t begin = n_head + gguf_get_tensor_offset(head, i);
    if (!file.add_samples(hash, begin, gguf_get_tensor_size(head, i))) return false;
  }
  return true;
}

// The files of a model; itself alone where it is not split.
std::vector<std::string> parts_of(const std::string& path, const gguf_context* head) {
  const int64_t key = gguf_find_key(head, kSplitCount);
  const int n_parts =
      key < 0 || gguf_get_kv_type(head, key) != GGUF_TYPE_UINT16 ? 1 : gguf_get_val_u16(head, key);
  std::array<char, 4096> prefix{};
  if (n_parts <= 1 ||
      llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), 0, n_parts) <= 0) {
    return {path};
  }
  std::vector<std::string> paths;
  for (int i = 0; i < n_parts; ++i) {
    std::array<char, 4096> part{};
    llama_split_path(part.data(), part.size(), prefix.data(), i, n_parts);
    paths.emplace_back(part.data());
  }
  return paths;
}

Digest unknown() {
  Sha256 hash;
  std::random_device random;
  for (int i = 0; i < 8; ++i) hash.add_number(random());
  return hash.finish();
}

}  // namespace

Digest content_identity(const std::string& path) {
  const GgufPtr first = open_head(path);
  if (first == nullptr) return unknown();
  Sha256 hash;
  for (const std::string& part : parts_of(path, first.get())) {
    const GgufPtr head = open_head(part);
    if (head == nullptr || !add_file(hash, part, head.get())) return unknown();
  }
  return hash.finish();
}

}  // namespace pyserve
