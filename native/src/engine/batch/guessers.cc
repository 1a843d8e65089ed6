#include "engine/batch/guessers.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "engine/batch/draft_model.h"
#include "pyserve/error.h"
#include "sched/draft/kinds.h"

namespace pyserve {
namespace {

constexpr int kMaxExtraTokens = 128;  // by which vocabularies may differ, at their end

EngineError unfit(const std::string& reason) {
  return EngineError(ErrorCode::kModelLoad, "the draft model cannot be used: " + reason);
}

EngineConfig draft_config(const Model& model, const Context& target, const EngineConfig& config) {
  EngineConfig draft = config;
  draft.model_path = config.draft_model_path;
  draft.rope = {};
  draft.overrides.clear();
  draft.adapter_paths.clear();
  draft.n_ctx = target.n_ctx();
  draft.n_kv = target.n_kv();
  draft.cache_type_k = draft.cache_type_v = "f16";
  if (config.n_bytes_available > 0) {
    const int64_t n_taken = model.info().size_bytes + target.kv_bytes() + target.compute_bytes();
    draft.n_bytes_available = std::max<int64_t>(config.n_bytes_available - n_taken, 1);
  }
  return draft;
}

void check_vocabulary(const Model& model, const Model& draft) {
  if (std::abs(model.n_vocab() - draft.n_vocab()) > kMaxExtraTokens) {
    throw unfit("it has " + std::to_string(draft.n_vocab()) + " tokens, the model " +
                std::to_string(model.n_vocab()));
  }
  const int n_vocab = std::min(model.n_vocab(), draft.n_vocab());
  for (Token token = 0; token < n_vocab; ++token) {
    if (model.piece(token, true) == draft.piece(token, true)) continue;
    throw unfit("its token " + std::to_string(token) + " is another one than the model's");
  }
}

std::string undo_obstacle(const Context& target) {
  return const_cast<Context&>(target).memory().can_undo()
             ? ""
             : "the model keeps a state that cannot be taken back";
}

// A file of its own.
Guessers load_file(const Model& model, Context& target, const EngineConfig& config,
                   const DraftKinds& kinds) {
  const EngineConfig draft = draft_config(model, target, config);
  auto own = std::make_unique<const Model>(draft, ModelUse::kHead);
  check_vocabulary(model, *own);
  const bool is_head = own->info().architecture == "eagle3";
  if ((is_head ? kinds.eagle3 : kinds.model) == DraftWish::kNo) {
    throw unfit(std::string("spec_type leaves out ") +
                (is_head ? "draft-eagle3, which it is" : "draft-simple, which it is"));
  }
  if (!is_head) {
    return {std::make_unique<DraftModel>(model, target, draft, std::move(own)), nullptr};
  }
  std::string reason = HeadContext::obstacle(model, *own);
  if (reason.empty()) reason = undo_obstacle(target);
  if (!reason.empty()) throw unfit(reason);
  auto head = std::make_unique<DraftHead>(model, target, config, std::move(own));
  DraftHead* const pointer = head.get();
  return {std::move(head), pointer};
}

Guessers load_own_head(const Model& model, Context& target, const EngineConfig& config,
                       DraftWish wish) {
  std::string reason = HeadContext::obstacle(model);
  if (reason.empty()) reason = undo_obstacle(target);
  try {
    if (!reason.empty()) {
      throw EngineError(ErrorCode::kModelLoad, "draft-mtp cannot be used: " + reason);
    }
    auto head = std::make_unique<DraftHead>(model, target, config, nullptr);
    DraftHead* const pointer = head.get();
    return {std::move(head), pointer};
  } catch (const EngineError&) {
    // Without it the model answers as well.
    if (wish == DraftWish::kYes) throw;
    return {};
  }
}

}  // namespace

Guessers load_guessers(const Model& model, Context& target, const EngineConfig& config) {
  const DraftKinds kinds = parse_draft_kinds(config.spec_type);
  const bool has_file = !config.draft_model_path.empty();
  if (has_file && kinds.mtp == DraftWish::kYes) {
    throw EngineError(ErrorCode::kModelLoad,
                      "spec_type names draft-mtp, but a draft model is given: one of them guesses");
  }
  if (!has_file && (kinds.model == DraftWish::kYes || kinds.eagle3 == DraftWish::kYes)) {
    throw EngineError(ErrorCode::kModelLoad,
                      "spec_type names draft-simple or draft-eagle3, but no draft model is given");
  }
  if (has_file && !kinds.is_none) return load_file(model, target, config, kinds);
  if (wants_own_head(config)) return load_own_head(model, target, config, kinds.mtp);
  return {};
}

}  // namespace pyserve
