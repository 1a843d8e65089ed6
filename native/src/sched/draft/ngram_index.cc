#include "sched/draft/ngram_index.h"

#include <algorithm>
#include <bit>

namespace pyserve {
namespace {

constexpr size_t kMinChains = 1024;
constexpr size_t kMaxChains = 65536;

}  // namespace

NgramIndex::NgramIndex(size_t n_tokens)
    : heads_(std::clamp(std::bit_ceil(n_tokens), kMinChains, kMaxChains)) {
  tokens_.reserve(n_tokens);
  older_.reserve(n_tokens);
}

void NgramIndex::add(Token token) {
  // A place joins its chain when the token after it is known: nothing else can be read there.
  const int n = size();
  int older = 0;
  if (n >= kMinMatch) {
    int& head = heads_[chain_of(tokens_[n - 2], tokens_[n - 1])];
    older = head;
    head = n;
  }
  older_.push_back(older);
  tokens_.push_back(token);
}

void NgramIndex::part() {
  older_.push_back(0);
  tokens_.push_back(kParting);
}

NgramIndex::Match NgramIndex::find(Range preferred) const {
  Match best;
  const int n = size();
  if (n < kMinMatch) return best;
  const auto is_preferred = [&](int place) {
    return place >= preferred.begin && place < preferred.end;
  };
  int place = heads_[chain_of(tokens_[n - 2], tokens_[n - 1])];
  for (int i = 0; place > 0 && i < kMaxPlaces; ++i, place = older_[place]) {
    const int length = match_length(place);
    if (length < kMinMatch || length < best.n_tokens) continue;
    if (length > best.n_tokens || is_preferred(place)) best = {place, length};
  }
  return best;
}

int NgramIndex::match_length(int next) const {
  const int n = size();
  const int n_max = std::min(next, kMaxMatch);
  int length = 0;
  while (length < n_max && tokens_[next - 1 - length] == tokens_[n - 1 - length]) ++length;
  return length;
}

size_t NgramIndex::chain_of(Token first, Token second) const {
  const uint64_t pair =
      (static_cast<uint64_t>(static_cast<uint32_t>(first)) << 32) | static_cast<uint32_t>(second);
  const uint64_t mixed = pair * 0x9E3779B97F4A7C15ULL;
  return (mixed >> 40) & (heads_.size() - 1);
}

}  // namespace pyserve
