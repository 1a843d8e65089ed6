// DRY's sequence breakers as tokens, for the requests that use the same ones.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "llama/model/model.h"
#include "llama/tokenizer.h"
#include "pyserve/request.h"
#include "sample/edits/dry_breakers.h"

namespace pyserve {

// Keeps the lists that were used last: finding the tokens of one takes milliseconds.
// Thread: any thread, also for what it gives.
class DryBreakerCache {
 public:
  DryBreakerCache(const Model& model, const Tokenizer& tokenizer)
      : model_(model), tokenizer_(tokenizer) {}

  // Null when the request does not use DRY, or no breakers.
  std::shared_ptr<const DryBreakers> get(const SamplingParams& params);

 private:
  using Breakers = std::shared_ptr<const DryBreakers>;

  const Model& model_;
  const Tokenizer& tokenizer_;
  std::mutex mutex_;
  std::list<std::pair<std::vector<std::string>, Breakers>> latest_first_;
};

}  // namespace pyserve
