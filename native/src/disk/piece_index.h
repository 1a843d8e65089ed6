// Which pieces of prefixes a directory has, and which of them begin a prompt.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "disk/piece_file.h"

namespace pyserve {

// A piece whose file is there, as far as is known.
struct Piece {
  Digest name;
  PieceHead head;
  int64_t n_bytes = 0;  // of its file
};

// Pieces that follow each other from the first token on.
struct PieceChain {
  std::vector<std::shared_ptr<const Piece>> pieces;
  int n_tokens = 0;  // leading tokens of a prompt that they give
};

// Pieces are looked up by what they follow, and their tokens compared: nothing depends on a hash
// of a prompt. Thread: one at a time.
class PieceIndex {
 public:
  // is_cuttable: the leading tokens of a piece can be used; else only whole pieces.
  explicit PieceIndex(bool is_cuttable) : is_cuttable_(is_cuttable) {}

  // The chain from `root` that gives most leading tokens of `tokens`.
  PieceChain find(const Digest& root, TokenSpan tokens) const;

  bool has(const Digest& name) const { return by_name_.contains(name); }
  void add(Piece piece);
  void remove(const Digest& name);
  // Pieces of the same prefix that `head` makes useless: what they hold is a part of it.
  std::vector<Digest> replaced_by(const PieceHead& head) const;

  std::vector<Digest> names() const;
  size_t n_pieces() const { return by_name_.size(); }

 private:
  using PiecePtr = std::shared_ptr<const Piece>;

  std::vector<PiecePtr> after(const Digest& parent) const;

  const bool is_cuttable_;
  std::map<Digest, PiecePtr> by_name_;
  std::multimap<Digest, PiecePtr> by_parent_;
};

}  // namespace pyserve
