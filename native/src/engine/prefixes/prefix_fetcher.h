// Brings prefixes back from disk while the requests that need them wait.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "disk/read_policy.h"
#include "engine/prefixes/piece_library.h"
#include "engine/prefixes/piece_reader.h"
#include "engine/prefixes/piece_writer.h"
#include "kv/prefix_cache.h"

namespace pyserve {

// How looking for prefixes on disk ended.
struct FetchCounts {
  int64_t n_hits = 0;    // prefixes that were read
  int64_t n_tokens = 0;  // of them
  int64_t n_absent = 0;  // there is none, or hardly more than the memory has
  int64_t n_slow = 0;    // computing it is faster
  int64_t n_full = 0;    // the KV cache had no room for it
  int64_t n_late = 0;    // reading took too long
  int64_t n_damaged = 0;
  int64_t n_gone = 0;  // deleted by another process, or unreadable
};

// What is read goes to the prefix cache, from where requests fork it as if others had computed it
// here. A request that would have more by a read that goes on waits for it; nothing waits longer
// than computing takes. Thread: engine thread only.
class PrefixFetcher {
 public:
  // The others must outlive it.
  PrefixFetcher(PrefixCache& cache, PieceLibrary& library, PieceReader& reader, PieceWriter& writer)
      : cache_(cache), library_(library), reader_(reader), writer_(writer) {}

  // A read goes on that gives a request with these tokens more than the `n_cached` it has.
  bool is_reading_for(const std::string& key, TokenSpan tokens, int n_cached) const;
  // Starts to read what the disk has of `tokens`, if that pays. False: it is not worth it.
  bool start(const std::string& key, const Digest& root, TokenSpan tokens, int n_cached,
             double prompt_ms_per_token);

  bool is_reading() const { return !fetches_.empty(); }
  // Takes what has been read into the cache: one piece while others compute, else all.
  void work(bool is_busy);

  const FetchCounts& counts() const { return counts_; }

 private:
  struct Fetch {
    std::string key;
    std::vector<Token> tokens;  // those that it brings
    std::shared_ptr<PieceRead> read;
    TimePoint begun_at;
    double limit_ms = 0;
    int n_begun = 0;   // leading tokens that were in the cache before
    int n_loaded = 0;  // leading tokens that are in the cache
    bool is_done = false;
  };

  PieceChain missing_part(PieceChain chain, int n_cached) const;
  static bool is_loaded(const Fetch& fetch);
  bool take_one(Fetch& fetch);
  void end(Fetch& fetch);

  PrefixCache& cache_;
  PieceLibrary& library_;
  PieceReader& reader_;
  PieceWriter& writer_;
  std::vector<Fetch> fetches_;
  FetchCounts counts_;
};

}  // namespace pyserve
