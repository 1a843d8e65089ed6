#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "ladder/use_kernels.h"

// PYSERVE_KERNELS chooses the kernels that are tested through graphs.
int main(int argc, char** argv) {
  pyserve::use_kernels();
  return doctest::Context(argc, argv).run();
}
