// Where drafts come from, as users name it.
#pragma once

#include <string>

#include "pyserve/config.h"

namespace pyserve {

// What may guess how answers go on. kAuto kinds are used where they can be; those that are asked
// for by name must be there.
enum class DraftWish { kNo, kAuto, kYes };

struct DraftKinds {
  bool has_repetitions = false;  // what prompt and answer have said before
  DraftWish model = DraftWish::kNo;
  DraftWish mtp = DraftWish::kNo;
  DraftWish eagle3 = DraftWish::kNo;
  bool is_none = false;  // not even what a request itself says of its answer
};

// "auto", "none", or a list with commas of the kinds as llama-server names them. Throws
// EngineError(kInvalidRequest) for others.
DraftKinds parse_draft_kinds(const std::string& text);

// A head in the model's own file is looked for. Throws as above.
bool wants_own_head(const EngineConfig& config);

}  // namespace pyserve
