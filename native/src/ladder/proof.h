// Proves kernels: small cases of everything, against portable arithmetic.
#pragma once

#include <string>

#include "base/kernel_rung.h"

namespace pyserve {

// "": all is right. Else what is not, in words; a rung that brings the process down does so. For
// numbers that are exact where they should be, so that a small difference counts.
// REQUIRES: the rung is installed.
std::string check_products();
std::string check_attention();
std::string check_geglu();
std::string check_recurrence(Rung rung);
std::string check_row_kernels(Rung rung);

// Installs the rung in a child process and checks all; about 50 ms. "": it may be used.
std::string prove(Rung rung);

}  // namespace pyserve
