#include "kernels/matmul/emulated_tiles.h"

#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace pyserve {
namespace {

constexpr int kTiles = 8;
constexpr int kMaxRows = 16;
constexpr int kRowBytes = 64;

struct Registers {
  bool is_configured;
  int n_rows[kTiles];
  int n_bytes[kTiles];
  uint8_t bytes[kTiles][kMaxRows][kRowBytes];
  int64_t n_done;
};
thread_local Registers registers_of_thread;

// In a signal handler: no formatting, no memory.
[[noreturn]] void refuse(const char* why) {
  const auto write_out = [](const char* text) { return write(STDERR_FILENO, text, strlen(text)); };
  if (write_out("emulated tiles: ") < 0 || write_out(why) < 0 || write_out("\n") < 0) _exit(3);
  std::abort();
}

void require(bool is_so, const char* what) {
  if (!is_so) refuse(what);
}

// An instruction with a VEX prefix of three bytes, as Intel's manual lays it out (volume 2, 2.3.5).
class Instruction {
 public:
  Instruction(const uint8_t* code, const greg_t* general) : code_(code), general_(general) {
    require(code[0] == 0xC4, "an illegal instruction without a long VEX prefix");
    require((code[1] & 0x1F) == 2, "an illegal instruction of another map than 0F38");
    require((code[2] & 0x84) == 0, "VEX.W or VEX.L is set");
  }
  int prefix() const { return code_[2] & 3; }  // 0, 66, F3, F2
  int opcode() const { return code_[3]; }
  bool has_memory() const { return (mod_rm() >> 6) != 3; }
  int reg() const { return ((mod_rm() >> 3) & 7) | ((code_[1] & 0x80) != 0 ? 0 : 8); }
  int rm() const { return (mod_rm() & 7) | ((code_[1] & 0x20) != 0 ? 0 : 8); }
  int vvvv() const { return (~code_[2] >> 3) & 15; }
  bool has_sib() const { return has_memory() && (mod_rm() & 7) == 4; }
  int length() const { return 5 + has_sib() + n_displacement(); }

  // Where the operand in memory begins; of rows `stride` bytes apart, the index is not part of it.
  uint8_t* address(bool is_in_rows) const {
    int64_t at = displacement();
    if (has_sib()) {
      if (has_base()) at += general((sib() & 7) | ((code_[1] & 0x20) != 0 ? 0 : 8));
      if (!is_in_rows) at += stride();
    } else if ((mod_rm() & 0xC7) == 5) {
      at += reinterpret_cast<int64_t>(code_) + length();
    } else {
      at += general(rm());
    }
    return reinterpret_cast<uint8_t*>(at);
  }
  int64_t stride() const {
    const int index = ((sib() >> 3) & 7) | ((code_[1] & 0x40) != 0 ? 0 : 8);
    return index == 4 ? 0 : general(index) << (sib() >> 6);
  }

 private:
  int mod_rm() const { return code_[4]; }
  int sib() const { return code_[5]; }
  bool has_base() const { return (sib() & 7) != 5 || (mod_rm() >> 6) != 0; }
  int n_displacement() const {
    const int mod = mod_rm() >> 6;
    if (mod == 1) return 1;
    const bool is_absolute = has_sib() ? !has_base() : (mod_rm() & 0xC7) == 5;
    return mod == 2 || is_absolute ? 4 : 0;
  }
  int64_t displacement() const {
    const uint8_t* at = code_ + 5 + has_sib();
    if (n_displacement() == 1) return static_cast<int8_t>(*at);
    int32_t value = 0;
    if (n_displacement() == 4) std::memcpy(&value, at, sizeof(value));
    return value;
  }
  int64_t general(int number) const {
    static constexpr int kPlaces[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                        REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                        REG_R12, REG_R13, REG_R14, REG_R15};
    return general_[kPlaces[number]];
  }

  const uint8_t* code_;
  const greg_t* general_;
};

int checked(int tile) {
  require(tile < kTiles, "a tile above 7");
  require(registers_of_thread.is_configured, "no configuration is loaded");
  require(registers_of_thread.n_rows[tile] > 0, "a tile without a shape");
  return tile;
}

void configure(const uint8_t* from) {
  Registers& all = registers_of_thread;
  const int64_t n_done = all.n_done;
  all = {};
  all.n_done = n_done;
  if (from[0] == 0) return;  // as releasing them
  require(from[0] == 1, "an unknown palette");
  for (int i = 1; i < 16; ++i) require(from[i] == 0, "start_row or a reserved byte is set");
  for (int tile = 0; tile < 16; ++tile) {
    uint16_t n_bytes = 0;
    std::memcpy(&n_bytes, from + 16 + 2 * tile, sizeof(n_bytes));
    const int n_rows = from[48 + tile];
    require((n_bytes == 0) == (n_rows == 0), "rows without bytes or bytes without rows");
    require(tile < kTiles || n_rows == 0, "a shape above tile 7");
    require(n_bytes <= kRowBytes && n_rows <= kMaxRows, "a shape that is too large");
    if (tile >= kTiles) continue;
    all.n_rows[tile] = n_rows;
    all.n_bytes[tile] = n_bytes;
  }
  all.is_configured = true;
}

void move_rows(const Instruction& instruction, bool is_load) {
  require(instruction.has_sib(), "rows without an index");
  Registers& all = registers_of_thread;
  const int tile = checked(instruction.reg());
  uint8_t* const memory = instruction.address(true);
  if (is_load) std::memset(all.bytes[tile], 0, sizeof(all.bytes[tile]));
  for (int row = 0; row < all.n_rows[tile]; ++row) {
    uint8_t* const there = memory + row * instruction.stride();
    uint8_t* const here = all.bytes[tile][row];
    std::memcpy(is_load ? here : there, is_load ? there : here, all.n_bytes[tile]);
  }
}

// The sums of products of four bytes each, signed or not, in 32 bits that wrap around.
void dot(const Instruction& instruction) {
  Registers& all = registers_of_thread;
  const int sums = checked(instruction.reg());
  const int a = checked(instruction.rm());
  const int b = checked(instruction.vvvv());
  require(sums != a && sums != b && a != b, "one tile twice");
  require(all.n_rows[sums] == all.n_rows[a] && all.n_bytes[sums] == all.n_bytes[b] &&
              all.n_bytes[a] == 4 * all.n_rows[b],
          "shapes that do not fit");
  // TDPBUUD has no prefix, TDPBUSD 66, TDPBSUD F3, TDPBSSD F2.
  const bool is_a_signed = instruction.prefix() >= 2;
  const bool is_b_signed = (instruction.prefix() & 1) != 0;
  const auto value = [](uint8_t byte, bool is_signed) {
    return is_signed ? static_cast<int8_t>(byte) : static_cast<int>(byte);
  };
  for (int row = 0; row < all.n_rows[sums]; ++row) {
    for (int column = 0; column < all.n_bytes[sums] / 4; ++column) {
      uint32_t sum = 0;
      uint8_t* const at = all.bytes[sums][row] + 4 * column;
      std::memcpy(&sum, at, sizeof(sum));
      for (int k = 0; k < all.n_bytes[a]; ++k) {
        sum += static_cast<uint32_t>(value(all.bytes[a][row][k], is_a_signed) *
                                     value(all.bytes[b][k / 4][4 * column + k % 4], is_b_signed));
      }
      std::memcpy(at, &sum, sizeof(sum));
    }
  }
}

void execute(const Instruction& instruction) {
  enum Prefix { kNone, k66, kF3, kF2 };
  const int prefix = instruction.prefix();
  if (instruction.opcode() == 0x49 && prefix == kNone && instruction.has_memory()) {
    configure(instruction.address(false));
  } else if (instruction.opcode() == 0x49 && prefix == kNone) {
    static constexpr uint8_t kReleased[64] = {};
    configure(kReleased);
  } else if (instruction.opcode() == 0x49 && prefix == kF2 && !instruction.has_memory()) {
    const int tile = checked(instruction.reg());
    std::memset(registers_of_thread.bytes[tile], 0, sizeof(registers_of_thread.bytes[tile]));
  } else if (instruction.opcode() == 0x4B && (prefix == kF2 || prefix == kF3)) {
    move_rows(instruction, prefix == kF2);
  } else if (instruction.opcode() == 0x5E && !instruction.has_memory()) {
    dot(instruction);
  } else {
    refuse("an illegal instruction that has nothing to do with tiles");
  }
}

void on_illegal(int /*signal*/, siginfo_t* /*info*/, void* context) {
  greg_t* const general = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const Instruction instruction(reinterpret_cast<const uint8_t*>(general[REG_RIP]), general);
  execute(instruction);
  ++registers_of_thread.n_done;
  general[REG_RIP] += instruction.length();
}

}  // namespace

EmulatedTiles::EmulatedTiles() {
  struct sigaction action = {};
  action.sa_sigaction = on_illegal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (sigaction(SIGILL, &action, &before_) != 0) refuse("no handler can be set");
}

EmulatedTiles::~EmulatedTiles() { sigaction(SIGILL, &before_, nullptr); }

int64_t EmulatedTiles::n_done() { return registers_of_thread.n_done; }

}  // namespace pyserve
