// Computed prefixes on disk: they outlive the engine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "engine/prefixes/prefix_fetcher.h"
#include "engine/prefixes/prefix_saver.h"
#include "pyserve/request.h"

namespace pyserve {

struct DiskPrefixesConfig {
  std::string root;  // the directory
  DirectoryLimits limits;
  Digest space;       // of all that the bits of a prefix depend on but its tokens and its key
  std::string about;  // the same, for people
  SaverLimits saver;
};

// Joins the directory, its two threads, what is saved and what is fetched.
// Thread: engine thread only.
class DiskPrefixes {
 public:
  // on_loaded: called by another thread when work() has something to do. The cache must outlive it.
  DiskPrefixes(PrefixCache& cache, DiskPrefixesConfig config, std::function<void()> on_loaded);
  ~DiskPrefixes();

  // A request with these tokens does better to wait: more of them are being read than the
  // `n_cached` that the cache has. is_new: it has not been asked for before, and a read may begin.
  bool must_wait(const std::string& key, TokenSpan tokens, int n_cached, bool is_new);
  // It has not seen yet what the disk has: nothing can be asked for.
  bool is_opening() const;

  // The cache keeps these tokens now.
  void note(const std::string& key, TokenSpan tokens);
  // A part of what there is to do, between two steps. is_busy: requests run.
  void work(bool is_busy);
  // When work() has something to do: 0 now, < 0 not before the next request.
  double wait_ms(bool is_busy) const;
  // Computing a token of a prompt has taken so long lately.
  void set_prompt_ms_per_token(double ms) { prompt_ms_per_token_ = ms; }
  // Saves what was noted, for `limit_ms` at most.
  void flush(double limit_ms);

  void count(EngineStats& stats) const;
  // What its threads have done by now. Thread: any.
  void count_files(EngineStats& stats) const;

 private:
  const Digest& root_of(const std::string& key);

  const DiskPrefixesConfig config_;
  const TimePoint begun_at_;
  PieceLibrary library_;
  PieceWriter writer_;
  PieceReader reader_;
  PrefixSaver saver_;
  PrefixFetcher fetcher_;
  std::unordered_map<std::string, Digest> roots_;
  double prompt_ms_per_token_ = 0;
};

}  // namespace pyserve
