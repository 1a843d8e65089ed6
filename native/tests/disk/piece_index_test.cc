#include "disk/piece_index.h"

#include <doctest/doctest.h>

using namespace pyserve;

namespace {

using Tokens = std::vector<Token>;

const Digest kRoot{};

Piece piece(const Digest& parent, int begin, Tokens tokens) {
  Piece piece;
  piece.head = {parent, begin, std::move(tokens)};
  piece.name = name_of(piece.head);
  piece.n_bytes = 100;
  return piece;
}

}  // namespace

TEST_CASE("a chain of pieces is found as far as its tokens are the prompt's") {
  for (const bool is_cuttable : {true, false}) {
    PieceIndex index(is_cuttable);
    const Piece one = piece(kRoot, 0, {1, 2, 3}), two = piece(one.name, 3, {4, 5, 6});
    index.add(one);
    index.add(two);
    CHECK(index.find(kRoot, Tokens{1, 2, 3, 4, 5, 6, 7}).n_tokens == 6);
    CHECK(index.find(kRoot, Tokens{1, 2, 3, 4, 5, 9}).n_tokens == (is_cuttable ? 5 : 3));
    CHECK(index.find(kRoot, Tokens{1, 2}).n_tokens == (is_cuttable ? 2 : 0));
    CHECK(index.find(kRoot, Tokens{4, 5, 6}).n_tokens == 0);
    CHECK(index.find(one.name, Tokens{1, 2, 3}).n_tokens == 0);
    index.remove(one.name);
    CHECK(index.find(kRoot, Tokens{1, 2, 3, 4}).n_tokens == 0);
    CHECK(index.n_pieces() == 1);
  }
}

TEST_CASE("of two pieces the one with more of the prompt is taken, and what can be continued") {
  PieceIndex index(true);
  const Piece half = piece(kRoot, 0, {1, 2}), other = piece(kRoot, 0, {1, 2, 9, 9});
  const Piece next = piece(half.name, 2, {3, 4});
  for (const Piece& added : {other, half, next}) index.add(added);
  CHECK(index.find(kRoot, Tokens{1, 2, 3, 4}).n_tokens == 4);
  CHECK(index.find(kRoot, Tokens{1, 2, 9, 4}).n_tokens == 3);
}

TEST_CASE("a longer piece replaces its own beginning, unless something follows that") {
  PieceIndex index(true);
  const Piece part = piece(kRoot, 0, {1, 2}), whole = piece(kRoot, 0, {1, 2, 3});
  index.add(part);
  CHECK(index.replaced_by(whole.head) == std::vector<Digest>{part.name});
  CHECK(index.replaced_by(piece(kRoot, 0, {1, 3, 3}).head).empty());
  index.add(piece(part.name, 2, {7}));
  CHECK(index.replaced_by(whole.head).empty());
  PieceIndex states(false);
  states.add(part);
  CHECK(states.replaced_by(whole.head).empty());
}
