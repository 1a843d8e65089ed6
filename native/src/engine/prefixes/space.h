// Which prefixes on disk an engine may use: those that it would compute to the same bits.
#pragma once

#include "engine/prefixes/disk_prefixes.h"
#include "llama/context/context.h"
#include "pyserve/config.h"

namespace pyserve {

// The engine wants prefixes on disk, and its memory can be shared.
bool has_disk_prefixes(const EngineConfig& config, const Context& context);

// has_head: prefixes have the memory of a head that guesses, too. REQUIRES: has_disk_prefixes().
DiskPrefixesConfig disk_prefixes_config(const EngineConfig& config, const Context& context,
                                        bool has_head);

}  // namespace pyserve
