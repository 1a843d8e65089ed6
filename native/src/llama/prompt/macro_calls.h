// Gives the macros of a template their arguments as Jinja2 does.
#pragma once

#include "jinja/runtime.h"

namespace pyserve {

// Has every call of a macro name all parameters by their places: those that it names, then their
// defaults, and undefined ones. The vendored runtime refuses calls that leave out a parameter
// without a default, and takes defaults by the number of arguments alone.
void settle_macro_calls(jinja::program& program);

}  // namespace pyserve
