// A memory of counted cells that knows which token each one is of.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "kv/sequence_memory.h"

namespace pyserve {

enum class MemoryKind { kPlain, kWindow, kRecurrent };

// Every sequence maps positions to cells; a cell is in use while a sequence has it. The state of a
// sequence is the list of tokens it has seen; kWindow loses what lies behind a window.
class FakeMemory final : public SequenceMemory {
 public:
  static constexpr int kWindowTokens = 4;

  explicit FakeMemory(MemoryKind kind) : kind_(kind) {}

  // What a decode does.
  void compute(SeqId seq_id, int pos, TokenSpan tokens) {
    for (const Token token : tokens) {
      cells_[seq_id][pos++] = std::make_shared<Token>(token);
      states_[seq_id].tokens.push_back(token);
    }
  }
  // A window gives up what the next token does not need.
  void recycle(SeqId seq_id) {
    State& state = states_[seq_id];
    const int n_tokens = static_cast<int>(state.tokens.size());
    state.pos_min = std::max(state.pos_min, n_tokens - kWindowTokens);
  }

  void recycle_all() {
    for (const auto& [seq_id, state] : states_) recycle(seq_id);
  }

  int n_cells() const {
    std::map<const Token*, int> used;
    for (const auto& [seq_id, cells] : cells_) {
      for (const auto& [pos, cell] : cells) ++used[cell.get()];
    }
    return static_cast<int>(used.size());
  }
  // The cells, and the state where there is one, are those of `tokens` and nothing else.
  bool holds(SeqId seq_id, TokenSpan tokens) {
    const auto& cells = cells_[seq_id];
    if (cells.size() != tokens.size()) return false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto cell = cells.find(static_cast<int>(i));
      if (cell == cells.end() || *cell->second != tokens[i]) return false;
    }
    return is_cuttable() || std::ranges::equal(states_[seq_id].tokens, tokens);
  }

  bool is_cuttable() const override { return kind_ == MemoryKind::kPlain; }
  bool can_undo() const override { return kind_ != MemoryKind::kRecurrent; }
  bool is_forgetful() const override { return !is_cuttable(); }
  int fork_from(SeqId seq_id) const override {
    const auto state = states_.find(seq_id);
    if (is_cuttable() || state == states_.end()) return 0;
    const int n_tokens = static_cast<int>(state->second.tokens.size());
    if (kind_ == MemoryKind::kRecurrent) return n_tokens;
    const int pos_min = state->second.pos_min;
    return pos_min == 0 ? 0 : std::min(pos_min + kWindowTokens, n_tokens);
  }
  void share(SeqId from, SeqId to, int begin, int end) override {
    for (int pos = begin; pos < end; ++pos) {
      if (from == to) continue;
      REQUIRE_FALSE(cells_[to].contains(pos));
      cells_[to][pos] = cells_[from].at(pos);
    }
  }
  void share_state(SeqId from, SeqId to, int end) override {
    REQUIRE(end >= fork_from(from));
    State state = states_[from];
    if (!is_cuttable()) REQUIRE(state.tokens.size() >= static_cast<size_t>(end));
    if (kind_ == MemoryKind::kRecurrent) REQUIRE(state.tokens.size() == static_cast<size_t>(end));
    state.tokens.resize(std::min<size_t>(state.tokens.size(), end));
    states_[to] = std::move(state);
  }
  void unshare(SeqId seq_id, int begin, int end) override {
    for (int pos = begin; pos < end; ++pos) cells_[seq_id].erase(pos);
  }
  void truncate(SeqId seq_id, int n_keep) override {
    auto& cells = cells_[seq_id];
    cells.erase(cells.lower_bound(n_keep), cells.end());
    if (n_keep == 0) {
      cells_.erase(seq_id);
      states_.erase(seq_id);
    } else if (kind_ == MemoryKind::kWindow) {
      auto& tokens = states_[seq_id].tokens;
      tokens.resize(std::min<size_t>(tokens.size(), n_keep));
    }
  }
  std::vector<uint8_t> save(SeqId seq_id, size_t n_bytes_max) const override {
    // The first position, and the tokens from there on.
    const auto& cells = cells_.at(seq_id);
    const int begin = cells.empty() ? 0 : cells.begin()->first;
    std::vector<uint8_t> data{static_cast<uint8_t>(begin >> 8), static_cast<uint8_t>(begin)};
    for (const auto& [pos, cell] : cells) data.push_back(static_cast<uint8_t>(*cell));
    if (data.size() > n_bytes_max) data.clear();
    return data;
  }
  bool restore(SeqId seq_id, const std::vector<uint8_t>& data) override {
    REQUIRE(cells_[seq_id].empty());
    if (fails_to_restore) return false;
    const std::vector<Token> tokens(data.begin() + 2, data.end());
    compute(seq_id, data[0] << 8 | data[1], tokens);
    return true;
  }

  bool fails_to_restore = false;

 private:
  struct State {
    std::vector<Token> tokens;
    int pos_min = 0;
  };

  const MemoryKind kind_;
  std::map<SeqId, std::map<int, std::shared_ptr<Token>>> cells_;
  std::map<SeqId, State> states_;
};

}  // namespace pyserve
