// The instructions of AMX on a CPU that has none: each faults, is decoded and done in plain C++.
//
// Proves what compilers made of amx_tiles.h, where tile_twin.h proves what is done with it.
#pragma once

#include <csignal>
#include <cstdint>

namespace pyserve {

// While one of these lives, instructions of tiles work in all threads of this process, each of
// which has its own registers. Every other illegal instruction, and what a processor would refuse,
// ends the process with a message. REQUIRES: at most one at a time.
class EmulatedTiles {
 public:
  EmulatedTiles();
  ~EmulatedTiles();
  EmulatedTiles(const EmulatedTiles&) = delete;
  EmulatedTiles& operator=(const EmulatedTiles&) = delete;

  // Instructions done in this thread so far.
  static int64_t n_done();

 private:
  struct sigaction before_;
};

}  // namespace pyserve
