#include "engine/prefixes/prefix_fetcher.h"

#include <algorithm>
#include <utility>

namespace pyserve {

bool PrefixFetcher::is_reading_for(const std::string& key, TokenSpan tokens, int n_cached) const {
  return std::any_of(fetches_.begin(), fetches_.end(), [&](const Fetch& fetch) {
    if (fetch.key != key) return false;
    const int n_common = common_prefix(fetch.tokens, tokens);
    const bool is_whole = n_common == static_cast<int>(fetch.tokens.size());
    if (!is_whole && !cache_.is_cuttable()) return false;
    return n_common > n_cached && n_common >= fetch.n_begun + kMinReadTokens;
  });
}

bool PrefixFetcher::start(const std::string& key, const Digest& root, TokenSpan tokens,
                          int n_cached, double prompt_ms_per_token) {
  PieceChain chain = library_.find(root, tokens);
  const int n_more = chain.n_tokens - n_cached;
  if (n_more < kMinReadTokens) {
    ++counts_.n_absent;
    return false;
  }
  chain = missing_part(std::move(chain), n_cached);
  int64_t n_bytes = 0;
  int n_cells = 0;
  for (const auto& piece : chain.pieces) {
    n_bytes += piece->n_bytes;
    n_cells += static_cast<int>(piece->head.tokens.size());
  }
  PrefixRates rates;
  rates.prompt_ms_per_token = prompt_ms_per_token;
  if (const double read_ms = reader_.read_ms(); read_ms > 0) {
    rates.read_bytes_per_ms = static_cast<double>(reader_.n_read_bytes()) / read_ms;
  }
  if (!pays_to_read(rates, n_more, n_bytes)) {
    ++counts_.n_slow;
    return false;
  }
  if (n_cells > cache_.n_free_cells()) {
    ++counts_.n_full;
    return false;
  }
  const TokenSpan brought = tokens.first(chain.n_tokens);
  fetches_.push_back({key,
                      {brought.begin(), brought.end()},
                      reader_.read(std::move(chain)),
                      Clock::now(),
                      read_limit_ms(rates, n_more, n_bytes),
                      n_cached,
                      n_cached,
                      false});
  return true;
}

// Without the pieces that the cache has.
PieceChain PrefixFetcher::missing_part(PieceChain chain, int n_cached) const {
  if (cache_.is_cuttable()) {
    std::erase_if(chain.pieces, [&](const auto& piece) { return piece->head.end() <= n_cached; });
  }
  return chain;
}

bool PrefixFetcher::is_loaded(const Fetch& fetch) {
  return fetch.n_loaded == static_cast<int>(fetch.tokens.size());
}

void PrefixFetcher::work(bool is_busy) {
  for (Fetch& fetch : fetches_) {
    do {
      if (!take_one(fetch)) break;
    } while (!is_busy);
    const bool is_late = elapsed_ms(fetch.begun_at, Clock::now()) > fetch.limit_ms;
    // A reader may be some time in noticing that nothing is left to read.
    const bool is_over = is_loaded(fetch) || fetch.read->is_over();
    if (fetch.is_done || is_late || is_over) end(fetch);
  }
  std::erase_if(fetches_, [](const Fetch& fetch) { return fetch.is_done; });
}

// False: there is nothing to take now.
bool PrefixFetcher::take_one(Fetch& fetch) {
  std::optional<PieceRead::Loaded> loaded = fetch.read->take();
  if (!loaded) return false;
  // A piece that the prompt needs a part of is loaded whole: its other tokens are some prompt's.
  std::vector<Token> tokens = fetch.tokens;
  tokens.resize(std::min<size_t>(tokens.size(), loaded->head.begin));
  tokens.insert(tokens.end(), loaded->head.tokens.begin(), loaded->head.tokens.end());
  if (!cache_.load_piece(fetch.key, tokens, loaded->head.begin, loaded->data)) {
    ++counts_.n_full;
    fetch.read->abandon();
    fetch.is_done = true;
    return false;
  }
  fetch.n_loaded = std::min(loaded->head.end(), static_cast<int>(fetch.tokens.size()));
  return true;
}

void PrefixFetcher::end(Fetch& fetch) {
  const FileFault fault = fetch.read->fault();
  if (is_loaded(fetch)) {
    ++counts_.n_hits;
    counts_.n_tokens += fetch.n_loaded;
    std::vector<Digest> names;
    for (const auto& piece : fetch.read->chain().pieces) names.push_back(piece->name);
    writer_.touch(std::move(names));
  } else if (fault == FileFault::kDamaged || fault == FileFault::kForeign) {
    ++counts_.n_damaged;
  } else if (fault != FileFault::kNone) {
    ++counts_.n_gone;
  } else if (!fetch.is_done) {
    ++counts_.n_late;
  }
  fetch.read->abandon();
  fetch.is_done = true;
}

}  // namespace pyserve
