// Checks of our own invariants; never for input.
#pragma once

#include <cstdio>
#include <cstdlib>

#define PYSERVE_CHECK(condition)                                                         \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

// One that is too dear, or too strict, for a server at work.
#ifdef NDEBUG
#define PYSERVE_DEBUG_CHECK(condition) static_cast<void>(sizeof(!(condition)))
#else
#define PYSERVE_DEBUG_CHECK(condition) PYSERVE_CHECK(condition)
#endif
