// Parts of a Jinja template that are text, whatever is in them: {% raw %}{{ x }}{% endraw %}.
#pragma once

#include <string>
#include <string_view>

namespace pyserve {

// The template with each raw block as an expression that is its text, for interpreters that do not
// know such blocks. White space at the edges goes as Jinja2 takes it with trim_blocks and
// lstrip_blocks. A block without an end stays what it is.
std::string without_raw_blocks(std::string_view source);

}  // namespace pyserve
