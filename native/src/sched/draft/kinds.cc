#include "sched/draft/kinds.h"

#include <sstream>

#include "pyserve/error.h"

namespace pyserve {

DraftKinds parse_draft_kinds(const std::string& text) {
  DraftKinds kinds;
  if (text == "auto") {
    kinds.has_repetitions = true;
    kinds.model = kinds.mtp = kinds.eagle3 = DraftWish::kAuto;
    return kinds;
  }
  if (text == "none") {
    kinds.is_none = true;
    return kinds;
  }
  std::istringstream names(text);
  std::string name;
  bool is_known = !text.empty() && text.back() != ',';
  while (is_known && std::getline(names, name, ',')) {
    // All of these are one here: it looks for matches of every length.
    if (name == "ngram-simple" || name == "ngram-map-k" || name == "ngram-map-k4v" ||
        name == "ngram-mod" || name == "ngram-cache") {
      kinds.has_repetitions = true;
    } else if (name == "draft-simple") {
      kinds.model = DraftWish::kYes;
    } else if (name == "draft-mtp") {
      kinds.mtp = DraftWish::kYes;
    } else if (name == "draft-eagle3") {
      kinds.eagle3 = DraftWish::kYes;
    } else {
      is_known = false;
    }
  }
  if (is_known) return kinds;
  throw EngineError(ErrorCode::kInvalidRequest,
                    "spec_type is '" + text +
                        "', choose auto, none, or of draft-simple, draft-mtp, draft-eagle3, "
                        "ngram-simple, ngram-map-k, ngram-map-k4v, ngram-mod and ngram-cache, "
                        "separated by commas");
}

bool wants_own_head(const EngineConfig& config) {
  const bool drafts = config.n_draft_max > 0 && !config.is_deterministic;
  return drafts && config.draft_model_path.empty() &&
         parse_draft_kinds(config.spec_type).mtp != DraftWish::kNo;
}

}  // namespace pyserve
