// Rules of a grammar that reach themselves before any character.
#pragma once

#include <cstdint>

#include "grammar/grammar.h"

namespace pyserve {

// A rule that is left-recursive, or calls one that is; -1: there is none. Linear in the program.
int32_t find_left_recursion(const Grammar& grammar);

}  // namespace pyserve
