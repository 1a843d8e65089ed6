// A cache of compiled grammars (`Request::grammar`).
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "grammar/matcher.h"
#include "llama/model/model.h"

namespace pyserve {

// Keeps the grammars that were used last, and the texts of the vocabulary from the first use on.
// Thread: any thread; what it gives shares nothing that changes.
class GrammarCache {
 public:
  explicit GrammarCache(const Model& model) : model_(model) {}

  // A matcher at the beginning of an answer; none for an empty text. Throws as compile_grammar
  // does, and for a grammar that no token of the model can begin.
  std::optional<GrammarMatcher> get(const std::string& text);

 private:
  using GrammarPtr = std::shared_ptr<const Grammar>;

  GrammarPtr compiled(const std::string& text);

  const Model& model_;
  std::mutex mutex_;
  std::shared_ptr<const TokenBytes> tokens_;
  std::list<std::pair<std::string, GrammarPtr>> latest_first_;
};

}  // namespace pyserve
