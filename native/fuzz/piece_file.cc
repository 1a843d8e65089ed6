// A file of a prefix cache, whatever is in it: a piece is read whole or not at all, and what is
// read is what was written.
#include "disk/piece_file.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "fuzz_input.h"

using namespace pyserve;

namespace {

std::string folder() {
  static const std::string path = [] {
    const auto made = std::filesystem::temp_directory_path() /
                      ("pyserve-fuzz-piece-" + std::to_string(::getpid()));
    std::filesystem::create_directories(made);
    return made.string();
  }();
  return path;
}

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A file that holds the input.
void read_any(const std::string& bytes) {
  const std::string path = folder() + "/any.prefix";
  write(path, bytes);
  const PieceFile head = read_head(path);
  require(head.fault != FileFault::kNone, "no piece has this name");
  const PieceFile piece = read_piece(path, Digest{});
  require(piece.fault != FileFault::kNone, "nor this one");
}

// A piece of which some bytes have changed, or the end is missing.
void read_changed(FuzzInput& input) {
  PieceHead head;
  head.begin = input.byte();
  head.tokens.resize(1 + input.below(16));
  for (Token& token : head.tokens) token = input.byte();
  std::vector<uint8_t> data(input.byte());
  for (uint8_t& byte : data) byte = input.byte();
  const Digest name = name_of(head);
  const std::string path = folder() + '/' + file_name(name);
  require(write_piece(folder(), head, data) == 0, "it is written");
  const PieceFile whole = read_piece(path, name);
  require(whole.fault == FileFault::kNone && whole.data == data, "what is read was written");
  const std::string before = read(path);
  std::string after = before;
  for (int i = input.below(4); i >= 0; --i) {
    const size_t at = (size_t{input.byte()} << 8 | input.byte()) % after.size();
    after[at] = static_cast<char>(after[at] ^ input.byte());
  }
  if (input.below(2) == 1) after.resize(input.byte() % (after.size() + 1));
  write(path, after);
  const bool is_sound = read_piece(path, name).fault == FileFault::kNone;
  require(is_sound == (after == before), "damage is found");
  ::unlink(path.c_str());
}

}  // namespace

PYSERVE_FUZZ_TARGET(piece_file) {
  FuzzInput input(data, n_bytes);
  read_any({reinterpret_cast<const char*>(data), n_bytes});
  read_changed(input);
  return 0;
}
