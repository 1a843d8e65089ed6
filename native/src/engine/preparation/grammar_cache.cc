#include "engine/preparation/grammar_cache.h"

#include <algorithm>
#include <vector>

#include "pyserve/error.h"

namespace pyserve {
namespace {

constexpr size_t kMaxKept = 8;

std::shared_ptr<const TokenBytes> token_bytes(const Model& model) {
  std::vector<std::string> pieces;
  for (Token token = 0; token < model.n_vocab(); ++token) pieces.push_back(model.piece(token));
  return std::make_shared<const TokenBytes>(pieces, model.eog_tokens());
}

}  // namespace

GrammarCache::GrammarPtr GrammarCache::compiled(const std::string& text) {
  const auto known = std::find_if(latest_first_.begin(), latest_first_.end(),
                                  [&](const auto& entry) { return entry.first == text; });
  if (known != latest_first_.end()) {
    latest_first_.splice(latest_first_.begin(), latest_first_, known);
    return latest_first_.front().second;
  }
  latest_first_.emplace_front(text, std::make_shared<const Grammar>(compile_grammar(text)));
  if (latest_first_.size() > kMaxKept) latest_first_.pop_back();
  return latest_first_.front().second;
}

std::optional<GrammarMatcher> GrammarCache::get(const std::string& text) {
  if (text.empty()) return std::nullopt;
  std::unique_lock lock(mutex_);
  const GrammarPtr grammar = compiled(text);
  if (!tokens_) tokens_ = token_bytes(model_);
  const std::shared_ptr<const TokenBytes> tokens = tokens_;
  lock.unlock();
  GrammarMatcher matcher(grammar, tokens);
  std::vector<float> row(tokens->n_vocab());
  matcher.mask(row);
  const std::string reason = matcher.why_stuck();
  if (reason.empty()) return matcher;
  throw EngineError(ErrorInfo{ErrorCode::kInvalidRequest, reason, "grammar", {}});
}

}  // namespace pyserve
