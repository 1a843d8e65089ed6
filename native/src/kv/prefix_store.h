// Copies of evicted sequences in memory, bounded by bytes.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// What was used longest ago goes first.
// Thread: engine thread only.
class PrefixStore {
 public:
  struct Entry {
    std::string key;
    std::vector<Token> tokens;
    std::shared_ptr<const std::vector<uint8_t>> data;  // shared with who reads it during a put()

    size_t n_bytes() const { return data->size() + tokens.size() * sizeof(Token); }
  };
  struct Hit {
    const Entry* entry = nullptr;  // valid until the next put()
    int n_tokens = 0;              // leading tokens that can be had from it
  };

  // is_cuttable: a prefix of an entry can be used, else only whole entries. 0 bytes: keeps nothing.
  PrefixStore(size_t n_bytes_max, bool is_cuttable);

  // The entry that gives most leading tokens of `tokens`; nullopt = none gives any.
  std::optional<Hit> find(const std::string& key, TokenSpan tokens) const;
  // The entry of a hit was used.
  void touch(const Hit& hit);

  // Nothing is to be gained by putting these tokens.
  bool has(const std::string& key, TokenSpan tokens) const;
  // Adds an entry; drops entries that it makes useless, and old ones until it fits.
  void put(Entry entry);

  void clear();

  size_t n_bytes() const { return n_bytes_; }
  size_t n_bytes_max() const { return n_bytes_max_; }

 private:
  void erase(std::list<Entry>::iterator it);

  const size_t n_bytes_max_;
  const bool is_cuttable_;
  std::list<Entry> entries_;  // most recently used first
  size_t n_bytes_ = 0;
};

}  // namespace pyserve
