#include "disk/piece_file.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "disk/checksum.h"
#include "disk/file_handle.h"

namespace pyserve {
namespace {

constexpr size_t kNameBytes = 20;
constexpr std::string_view kSuffix = ".prefix";
constexpr char kMagic[8] = {'p', 'y', 'p', 'r', 'e', 'f', 'x', '1'};
constexpr uint32_t kByteOrder = 0x01020304;
constexpr uint32_t kMaxTokens = 1 << 24;

// A file is this, the tokens, and the data.
struct RawHead {
  char magic[8] = {};
  uint32_t byte_order = kByteOrder;
  uint32_t begin = 0;
  uint32_t n_tokens = 0;
  uint32_t unused = 0;
  uint64_t n_data_bytes = 0;
  uint64_t data_sum = 0;
  uint8_t parent[32] = {};
  uint64_t head_sum = 0;  // of all above and the tokens
};
static_assert(sizeof(RawHead) == 80, "no byte of it is padding");

std::span<const uint8_t> bytes_of(const void* data, size_t n_bytes) {
  return {static_cast<const uint8_t*>(data), n_bytes};
}

uint64_t sum_of(const RawHead& raw, const std::vector<Token>& tokens) {
  std::vector<uint8_t> bytes(offsetof(RawHead, head_sum) + tokens.size() * sizeof(Token));
  std::memcpy(bytes.data(), &raw, offsetof(RawHead, head_sum));
  if (!tokens.empty()) {
    std::memcpy(bytes.data() + offsetof(RawHead, head_sum), tokens.data(),
                tokens.size() * sizeof(Token));
  }
  return checksum(bytes);
}

RawHead raw_head(const PieceHead& head, const std::vector<uint8_t>& data) {
  RawHead raw;
  std::memcpy(raw.magic, kMagic, sizeof(kMagic));
  raw.begin = static_cast<uint32_t>(head.begin);
  raw.n_tokens = static_cast<uint32_t>(head.tokens.size());
  raw.n_data_bytes = data.size();
  raw.data_sum = checksum(data);
  std::copy(head.parent.bytes.begin(), head.parent.bytes.end(), raw.parent);
  raw.head_sum = sum_of(raw, head.tokens);
  return raw;
}

FileFault fault_of_open() { return errno == ENOENT ? FileFault::kMissing : FileFault::kFailed; }

// Reads up to the data. Sizes are checked against the file's before anything is allocated.
FileFault read_head(FileHandle& file, RawHead& raw, PieceFile& piece) {
  if (!file.is_open()) return fault_of_open();
  piece.n_bytes = file.n_bytes();
  if (piece.n_bytes < static_cast<int64_t>(sizeof(RawHead))) return FileFault::kDamaged;
  if (!file.read(&raw, sizeof(raw))) return FileFault::kFailed;
  if (std::memcmp(raw.magic, kMagic, sizeof(kMagic)) != 0 || raw.byte_order != kByteOrder) {
    return FileFault::kForeign;
  }
  const auto n_rest = static_cast<uint64_t>(piece.n_bytes) - sizeof(RawHead);
  const uint64_t n_token_bytes = uint64_t{raw.n_tokens} * sizeof(Token);
  if (raw.n_tokens == 0 || raw.n_tokens > kMaxTokens || raw.begin > kMaxTokens ||
      n_token_bytes > n_rest || raw.n_data_bytes != n_rest - n_token_bytes) {
    return FileFault::kDamaged;
  }
  piece.head.begin = static_cast<int>(raw.begin);
  std::copy(std::begin(raw.parent), std::end(raw.parent), piece.head.parent.bytes.begin());
  piece.head.tokens.resize(raw.n_tokens);
  if (!file.read(piece.head.tokens.data(), n_token_bytes)) return FileFault::kFailed;
  return sum_of(raw, piece.head.tokens) == raw.head_sum ? FileFault::kNone : FileFault::kDamaged;
}

std::string temporary_path(const std::string& folder) {
  static std::atomic<uint64_t> n_made{0};
  return folder + '/' + kTemporary + std::to_string(::getpid()) + '-' + std::to_string(++n_made);
}

int write_all(FileHandle& file, const RawHead& raw, const PieceHead& head,
              const std::vector<uint8_t>& data) {
  if (!file.is_open()) return errno;
  int error = file.write(&raw, sizeof(raw));
  if (error == 0) error = file.write(head.tokens.data(), head.tokens.size() * sizeof(Token));
  if (error == 0) error = file.write(data.data(), data.size());
  return error == 0 ? file.close() : error;
}

}  // namespace

Digest name_of(const PieceHead& head) {
  Sha256 hash;
  hash.add(head.parent.bytes);
  hash.add_number(static_cast<uint64_t>(head.begin));
  hash.add(bytes_of(head.tokens.data(), head.tokens.size() * sizeof(Token)));
  return hash.finish();
}

std::string file_name(const Digest& name) {
  return to_hex(name, kNameBytes) + std::string(kSuffix);
}

bool is_piece_file(const std::string& name) {
  return name.size() == 2 * kNameBytes + kSuffix.size() && name.ends_with(kSuffix);
}

PieceFile read_head(const std::string& path) {
  PieceFile piece;
  RawHead raw;
  FileHandle file(path, O_RDONLY);
  piece.fault = read_head(file, raw, piece);
  if (piece.fault == FileFault::kNone && !path.ends_with('/' + file_name(name_of(piece.head)))) {
    piece.fault = FileFault::kForeign;
  }
  return piece;
}

PieceFile read_piece(const std::string& path, const Digest& name) {
  PieceFile piece;
  RawHead raw;
  FileHandle file(path, O_RDONLY);
  piece.fault = read_head(file, raw, piece);
  if (piece.fault != FileFault::kNone) return piece;
  if (name_of(piece.head) != name) {
    piece.fault = FileFault::kForeign;
    return piece;
  }
  piece.data.resize(raw.n_data_bytes);
  if (!file.read(piece.data.data(), piece.data.size())) {
    piece.fault = FileFault::kFailed;
  } else if (checksum(piece.data) != raw.data_sum) {
    piece.fault = FileFault::kDamaged;
  }
  return piece;
}

int64_t file_bytes(const PieceHead& head, const std::vector<uint8_t>& data) {
  return static_cast<int64_t>(sizeof(RawHead) + head.tokens.size() * sizeof(Token) + data.size());
}

int write_piece(const std::string& folder, const PieceHead& head,
                const std::vector<uint8_t>& data) {
  const std::string temporary = temporary_path(folder);
  const std::string path = folder + '/' + file_name(name_of(head));
  int error = 0;
  {
    FileHandle file(temporary, O_WRONLY | O_CREAT | O_EXCL);
    error = write_all(file, raw_head(head, data), head, data);
  }
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) ::unlink(temporary.c_str());
  return error;
}

}  // namespace pyserve
