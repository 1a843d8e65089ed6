# What compilers are to say of our own code. With PYSERVE_WERROR everything they say is an error; without it, so that
# nobody's build fails for what another compiler guesses, only what GCC finds without optimizing, up to the last version that
# `make test-compilers` knows.

set(
  certain_warnings
  class-memaccess
  deprecated-copy
  implicit-fallthrough
  missing-field-initializers
  non-virtual-dtor
  parentheses
  pessimizing-move
  range-loop-construct
  reorder
  return-type
  shadow
  sign-compare
  switch
  type-limits
  unused
  unused-parameter
)
set(is_known_gcc "$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,16>>")
list(TRANSFORM certain_warnings PREPEND "-Werror=")

function(pyserve_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wnon-virtual-dtor)
  if(PYSERVE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  else()
    target_compile_options(${target} PRIVATE "$<${is_known_gcc}:${certain_warnings}>")
  endif()
endfunction()
