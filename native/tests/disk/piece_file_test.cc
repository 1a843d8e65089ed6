#include "disk/piece_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "scratch_folder.h"

using namespace pyserve;
namespace fs = std::filesystem;

namespace {

const PieceHead kHead{{}, 64, {1, 2, 3, 4}};
const std::vector<uint8_t> kData(1000, 7);

std::string path_in(const ScratchFolder& folder) {
  return folder.path() + '/' + file_name(name_of(kHead));
}

void flip(const std::string& path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const auto byte = static_cast<char>(file.get() ^ 1);
  file.seekp(at);
  file.put(byte);
}

}  // namespace

TEST_CASE("a piece is read as it was written, by its owner alone") {
  const ScratchFolder folder;
  REQUIRE(write_piece(folder.path(), kHead, kData) == 0);
  const PieceFile piece = read_piece(path_in(folder), name_of(kHead));
  CHECK(piece.fault == FileFault::kNone);
  CHECK(piece.head.begin == 64);
  CHECK(piece.head.tokens == kHead.tokens);
  CHECK(piece.data == kData);
  const PieceFile head = read_head(path_in(folder));
  CHECK(head.fault == FileFault::kNone);
  CHECK(head.head.tokens == kHead.tokens);
  CHECK(head.n_bytes == static_cast<int64_t>(fs::file_size(path_in(folder))));
  struct stat facts = {};
  REQUIRE(::stat(path_in(folder).c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("every changed byte of a file is found") {
  const ScratchFolder folder;
  REQUIRE(write_piece(folder.path(), kHead, kData) == 0);
  const auto n_bytes = static_cast<int64_t>(fs::file_size(path_in(folder)));
  for (int64_t at = 0; at < n_bytes; ++at) {
    flip(path_in(folder), at);
    CHECK(read_piece(path_in(folder), name_of(kHead)).fault != FileFault::kNone);
    flip(path_in(folder), at);
  }
  CHECK(read_piece(path_in(folder), name_of(kHead)).fault == FileFault::kNone);
}

TEST_CASE("a file of any shorter length is damaged, and so is a longer one") {
  const ScratchFolder folder;
  REQUIRE(write_piece(folder.path(), kHead, kData) == 0);
  const auto n_bytes = fs::file_size(path_in(folder));
  fs::resize_file(path_in(folder), n_bytes + 1);
  CHECK(read_piece(path_in(folder), name_of(kHead)).fault == FileFault::kDamaged);
  for (auto n_left = n_bytes; n_left-- > 0;) {
    fs::resize_file(path_in(folder), n_left);
    CHECK(read_piece(path_in(folder), name_of(kHead)).fault == FileFault::kDamaged);
    CHECK(read_head(path_in(folder)).fault == FileFault::kDamaged);
  }
}

TEST_CASE("a file under another name, of another format, or none at all is no piece") {
  const ScratchFolder folder;
  REQUIRE(write_piece(folder.path(), kHead, kData) == 0);
  const std::string other = folder.path() + '/' + file_name(Digest{});
  fs::rename(path_in(folder), other);
  CHECK(read_head(other).fault == FileFault::kForeign);
  CHECK(read_piece(other, Digest{}).fault == FileFault::kForeign);
  CHECK(read_piece(path_in(folder), name_of(kHead)).fault == FileFault::kMissing);
  std::ofstream(other) << std::string(500, 'x');
  CHECK(read_head(other).fault == FileFault::kForeign);
  fs::remove(other);
  fs::create_directory(other);
  CHECK(read_head(other).fault != FileFault::kNone);
}

TEST_CASE("a link is not followed") {
  const ScratchFolder folder, elsewhere;
  REQUIRE(write_piece(elsewhere.path(), kHead, kData) == 0);
  fs::create_symlink(path_in(elsewhere), path_in(folder));
  CHECK(read_piece(path_in(folder), name_of(kHead)).fault == FileFault::kFailed);
}

TEST_CASE("a write that fails leaves nothing behind") {
  CHECK(write_piece("/nonexistent", kHead, kData) == ENOENT);
  CHECK(write_piece("/proc", kHead, kData) != 0);
}

TEST_CASE("names tell parents, beginnings and tokens apart") {
  PieceHead other = kHead;
  other.begin = 65;
  CHECK(name_of(other) != name_of(kHead));
  other = kHead;
  other.parent.bytes[0] = 1;
  CHECK(name_of(other) != name_of(kHead));
  other = kHead;
  other.tokens.push_back(5);
  CHECK(name_of(other) != name_of(kHead));
  CHECK(is_piece_file(file_name(name_of(kHead))));
  CHECK_FALSE(is_piece_file("about.json"));
}
