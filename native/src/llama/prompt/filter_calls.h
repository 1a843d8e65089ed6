// Has filters of a template take their arguments as Jinja2 does.
#pragma once

#include "jinja/runtime.h"

namespace pyserve {

// `format` fills in `%s`, `%d`, `%i` and `%%`, and the tests of `select`, `reject`, `selectattr`
// and `rejectattr` need no argument. The vendored runtime knows no signs but `{}`, and refuses such
// tests.
void settle_filter_calls(jinja::program& program);

}  // namespace pyserve
