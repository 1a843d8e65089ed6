// Which guesser an engine has.
#pragma once

#include <memory>

#include "engine/batch/draft_head.h"
#include "engine/batch/guesser.h"
#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"

namespace pyserve {

struct Guessers {
  std::unique_ptr<Guesser> guesser;  // nullptr: none
  DraftHead* head = nullptr;         // the same, where it is one
};

// As `config` says: what it names, or leaves to what there is. Throws EngineError(kModelLoad) for
// what it names and cannot be used. Model and context must outlive it.
Guessers load_guessers(const Model& model, Context& target, const EngineConfig& config);

}  // namespace pyserve
