// A file with a piece of a computed prefix.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "pyserve/types.h"

namespace pyserve {

// The tokens [begin, begin + tokens.size()) of a prefix. What stands before them, whose prefix it
// is, and what computed it are all in `parent`: the name of the piece before, or that of the space.
struct PieceHead {
  Digest parent;
  int begin = 0;
  std::vector<Token> tokens;

  int end() const { return begin + static_cast<int>(tokens.size()); }
};

// The name of a piece; nobody can find another piece with it.
Digest name_of(const PieceHead& head);
// Its file's name: 40 hexadecimal digits and a suffix.
std::string file_name(const Digest& name);
bool is_piece_file(const std::string& name);

enum class FileFault {
  kNone,
  kMissing,  // another process has deleted it
  kFailed,   // the system could not read it
  kForeign,  // not of this format, or another piece than its name says
  kDamaged,  // cut short, or its bytes have changed
};

struct PieceFile {
  FileFault fault = FileFault::kNone;
  PieceHead head;
  std::vector<uint8_t> data;  // what was saved of the memory; empty when only the head was read
  int64_t n_bytes = 0;        // of the file
};

// Errors are told by `fault`; nothing is thrown but std::bad_alloc. Thread: any.
PieceFile read_head(const std::string& path);
PieceFile read_piece(const std::string& path, const Digest& name);

// Of the file that has them.
int64_t file_bytes(const PieceHead& head, const std::vector<uint8_t>& data);

// Writes a file that only its owner can read, at once: another process sees all of it or nothing.
// Returns 0 or an errno; then nothing is left behind. Thread: any.
int write_piece(const std::string& folder, const PieceHead& head, const std::vector<uint8_t>& data);

// Temporary files of a process that ended while it wrote have this in their name.
inline constexpr const char* kTemporary = ".tmp-";

}  // namespace pyserve
