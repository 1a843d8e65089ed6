// A request whose prompt is tokens.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/request/registry.h"
#include "grammar/matcher.h"
#include "pyserve/request.h"
#include "sample/edits/dry.h"
#include "sched/draft/draft.h"

namespace pyserve {

// Goes from the prompt thread to the engine thread.
struct PreparedRequest {
  std::shared_ptr<Ticket> ticket;
  Request request;             // its prompt is spent
  std::vector<Token> tokens;   // at least one, at most n_ctx - 1, or n_ctx for an embedding
  std::optional<Draft> draft;  // none: nothing is drafted
  std::shared_ptr<const DryBreakers> dry_breakers;
  std::optional<GrammarMatcher> grammar;
  std::optional<GrammarMatcher> shown_grammar;       // for what is shown, where it may stop
  std::vector<std::vector<Token>> banned_sequences;  // the tokens of bad words
  std::vector<Token> thinking_end;                   // said when the reasoning budget is used up
};

}  // namespace pyserve
