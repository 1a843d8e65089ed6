// A grammar in llama.cpp's GBNF, compiled to a program over bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace pyserve {

// One instruction. Jumps are relative, so code can be moved and copied.
struct GrammarOp {
  enum class Kind : uint8_t {
    kByte,    // one byte in [low, high], then the next instruction
    kSplit,   // the next instruction, or the one at `arg`
    kJump,    // the one at `arg`
    kCall,    // the rule `arg`, then the next instruction
    kRepeat,  // the repetition `arg`, then the next instruction
    kReturn,  // the end of a rule
  };
  Kind kind = Kind::kReturn;
  uint8_t low = 0;
  uint8_t high = 0;
  int32_t arg = 0;
};

// `rule` at least `low` times, at most `high` times; high < 0: any number of times.
struct GrammarRepeat {
  int32_t rule = 0;
  int32_t low = 0;
  int32_t high = 0;
};

// What a text may be. Immutable: any thread.
struct Grammar {
  std::vector<GrammarOp> program;
  std::vector<int32_t> entries;  // of each rule in `program`
  std::vector<GrammarRepeat> repeats;
  int32_t root = 0;
};

constexpr size_t kMaxGrammarBytes = 1024 * 1024;
constexpr int kMaxGrammarDepth = 128;         // of parentheses
constexpr int kMaxGrammarRules = 64 * 1024;   // named ones and those of groups
constexpr int kMaxGrammarRepeat = 64 * 1024;  // the numbers of {m,n}
constexpr size_t kMaxGrammarOps = 1024 * 1024;

// Compiles `text`; the answer is what its rule `root` describes. Characters are Unicode scalar
// values and match their UTF-8 bytes. Takes time and memory linear in the text and the limits.
// Throws EngineError(kInvalidRequest), param "grammar", with the line: for syntax, undefined and
// repeated rules, no root, left recursion, bytes that are not UTF-8, anything over a limit.
// Tokens (<...>) are not supported.
Grammar compile_grammar(std::string_view text);

}  // namespace pyserve
