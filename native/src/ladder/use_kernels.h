// Installs the kernels of this process.
#pragma once

#include <string>

namespace pyserve {

// Chooses as choose_kernels() does, and installs what is chosen. The first call decides for the
// whole process; later ones change nothing. REQUIRES: no model has been loaded before the first.
void use_kernels(const std::string& wanted = "");

}  // namespace pyserve
