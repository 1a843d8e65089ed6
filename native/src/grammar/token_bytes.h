// The vocabulary as texts, sorted so that tokens with a common beginning are neighbours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// Immutable: any thread.
class TokenBytes {
 public:
  // `pieces` by token; tokens without text are never part of an answer. `ends` end an answer and
  // have no text, whatever their piece is.
  TokenBytes(const std::vector<std::string>& pieces, std::vector<Token> ends);

  size_t n_vocab() const { return offsets_.size() - 1; }
  std::string_view text(Token token) const {
    return std::string_view(bytes_).substr(offsets_[token], offsets_[token + 1] - offsets_[token]);
  }
  // Bytes of the longest text.
  size_t n_longest() const { return n_longest_; }
  bool is_end(Token token) const { return is_end_[token]; }
  const std::vector<Token>& ends() const { return ends_; }

  // Tokens that have text, in the order of their bytes; shared_bytes()[i] leading bytes of the
  // i-th are those of the one before.
  const std::vector<Token>& sorted() const { return sorted_; }
  const std::vector<uint32_t>& shared_bytes() const { return shared_; }

 private:
  std::string bytes_;
  size_t n_longest_ = 0;
  std::vector<size_t> offsets_;
  std::vector<bool> is_end_;
  std::vector<Token> ends_;
  std::vector<Token> sorted_;
  std::vector<uint32_t> shared_;
};

}  // namespace pyserve
