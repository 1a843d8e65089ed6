// What a model file is, whatever its name.
#pragma once

#include <string>

#include "base/sha256.h"

namespace pyserve {

// A hash of the size, all metadata and samples of every tensor of a GGUF file, and of its other
// parts where it is split: some thousand reads, of pages that loading has touched. Small tensors
// are hashed whole. Two files that differ have different ones, unless somebody edits single
// weights. A file that cannot be read, or is no GGUF, has one nobody else has.
Digest content_identity(const std::string& path);

}  // namespace pyserve
