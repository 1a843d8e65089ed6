// What an engine tells of the prefixes that it keeps, for those who choose among servers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pyserve/request.h"

namespace pyserve {

// Blocks of 64 tokens that follow each other and can be reused now, or no more. A hash stands for
// its block and all before it, of requests with the same adapters, tenant and salt.
struct PrefixBlocks {
  bool is_stored = false;
  AdapterSet adapters;  // in their order, none twice
  std::string tenant;
  std::string cache_salt;
  uint64_t parent = 0;  // the block before them; 0 = they are a prompt's first
  std::vector<uint64_t> hashes;
  std::vector<Token> tokens;  // of all of them; of those that are gone: none
};

struct PrefixChanges {
  bool is_reset = false;  // what was told before is void: too much of it was not taken in time
  std::vector<PrefixBlocks> blocks;
};

}  // namespace pyserve
