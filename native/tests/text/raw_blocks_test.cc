#include "text/raw_blocks.h"

#include <doctest/doctest.h>

using namespace pyserve;

TEST_CASE("a raw block is its text") {
  CHECK(without_raw_blocks("a {% raw %}{{ x }} {% if %}{% endraw %} b") ==
        "a {{ '{{ x }} {% if %}' }} b");
  CHECK(without_raw_blocks("{% raw %}it's \\n{% endraw %}{% raw %}2{% endraw %}") ==
        "{{ 'it\\'s \\\\n' }}{{ '2' }}");
}

TEST_CASE("white space at its edges goes as with other tags") {
  CHECK(without_raw_blocks("a\n  {%- raw -%}\n {{ x }} {%- endraw -%}\n b") == "a{{ '{{ x }}' }}b");
  CHECK(without_raw_blocks("a\n  {% raw %}\n  b\n  {% endraw %}\nc") == "a\n{{ '\n  b\n' }}c");
  CHECK(without_raw_blocks("a  {% raw %} {% endraw +%}") == "a  {{ ' ' }}");
  CHECK(without_raw_blocks("a\n  {%+ raw %}b{% endraw %}\n\nc") == "a\n  {{ 'b' }}\nc");
}

TEST_CASE("what is no raw block stays what it is") {
  for (const char* source : {"", "{", "{%", "{% raw", "{% raw %}", "{% raw %}{% endra %}",
                             "{% rawer %}{% endraw %}", "{# {% raw %} #}{{ x }}{# {% endraw %} #}",
                             "{# open {% raw %}x{% endraw %}", "{{ '{ % raw % }' }}"}) {
    CHECK(without_raw_blocks(source) == source);
  }
}
