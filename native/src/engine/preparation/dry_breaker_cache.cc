#include "engine/preparation/dry_breaker_cache.h"

#include <algorithm>

#include "sample/sampler_order.h"

namespace pyserve {
namespace {

constexpr size_t kMaxKept = 4;

}  // namespace

std::shared_ptr<const DryBreakers> DryBreakerCache::get(const SamplingParams& params) {
  const std::vector<std::string>& texts = params.dry_sequence_breakers;
  if (texts.empty() || normalized(params).dry_multiplier <= 0) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(latest_first_.begin(), latest_first_.end(),
                                  [&](const auto& entry) { return entry.first == texts; });
  if (known != latest_first_.end()) {
    latest_first_.splice(latest_first_.begin(), latest_first_, known);
    return latest_first_.front().second;
  }
  const Vocabulary vocabulary{
      model_.n_vocab(), [this](Token token) { return model_.piece(token, true); },
      [this](const std::string& text) { return tokenizer_.tokenize(text, false, false); }};
  const auto breakers = std::make_shared<const DryBreakers>(find_breakers(vocabulary, texts));
  latest_first_.emplace_front(texts, breakers);
  if (latest_first_.size() > kMaxKept) latest_first_.pop_back();
  return breakers;
}

}  // namespace pyserve
