#include "disk/piece_index.h"

#include <algorithm>
#include <utility>

namespace pyserve {
namespace {

int n_equal(TokenSpan a, TokenSpan b) {
  const size_t limit = std::min(a.size(), b.size());
  return static_cast<int>(std::mismatch(a.begin(), a.begin() + limit, b.begin()).first - a.begin());
}

}  // namespace

std::vector<PieceIndex::PiecePtr> PieceIndex::after(const Digest& parent) const {
  std::vector<PiecePtr> pieces;
  const auto [begin, end] = by_parent_.equal_range(parent);
  for (auto it = begin; it != end; ++it) pieces.push_back(it->second);
  return pieces;
}

PieceChain PieceIndex::find(const Digest& root, TokenSpan tokens) const {
  PieceChain chain;
  Digest parent = root;
  while (static_cast<size_t>(chain.n_tokens) < tokens.size()) {
    const TokenSpan rest = tokens.subspan(chain.n_tokens);
    PiecePtr best;
    int n_best = 0;
    for (const PiecePtr& piece : after(parent)) {
      if (piece->head.begin != chain.n_tokens) continue;
      const int n = n_equal(piece->head.tokens, rest);
      const bool is_whole = n == static_cast<int>(piece->head.tokens.size());
      // A whole piece may be followed by others, so it is better than as much of a longer one.
      if (n > n_best || (n == n_best && n > 0 && is_whole)) {
        if (is_whole || is_cuttable_) {
          best = piece;
          n_best = n;
        }
      }
    }
    if (best == nullptr) break;
    chain.pieces.push_back(best);
    chain.n_tokens += n_best;
    if (n_best < static_cast<int>(best->head.tokens.size())) break;
    parent = best->name;
  }
  return chain;
}

void PieceIndex::add(Piece piece) {
  if (has(piece.name)) return;
  const auto added = std::make_shared<const Piece>(std::move(piece));
  by_name_.emplace(added->name, added);
  by_parent_.emplace(added->head.parent, added);
}

void PieceIndex::remove(const Digest& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  const auto [begin, end] = by_parent_.equal_range(found->second->head.parent);
  for (auto it = begin; it != end; ++it) {
    if (it->second != found->second) continue;
    by_parent_.erase(it);
    break;
  }
  by_name_.erase(found);
}

std::vector<Digest> PieceIndex::replaced_by(const PieceHead& head) const {
  std::vector<Digest> names;
  if (!is_cuttable_) return names;
  for (const PiecePtr& piece : after(head.parent)) {
    const std::vector<Token>& tokens = piece->head.tokens;
    if (tokens.size() >= head.tokens.size() || !after(piece->name).empty()) continue;
    if (n_equal(tokens, head.tokens) == static_cast<int>(tokens.size())) {
      names.push_back(piece->name);
    }
  }
  return names;
}

std::vector<Digest> PieceIndex::names() const {
  std::vector<Digest> names;
  for (const auto& [name, piece] : by_name_) names.push_back(name);
  return names;
}

}  // namespace pyserve
