// Forced into the vendored code for AMX (llama.cmake), whose intrinsics tell GCC too little of what
// they read.
//
// _tile_loadconfig() of GCC 12 says that it reads the first 8 of the 64 bytes of a tile
// configuration: what is stored into the others is thrown away, and the first instruction on a tile
// is illegal. _tile_loadd() says that it reads an address: stores to what is there may come later.
#pragma once

#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)

#include <immintrin.h>

#undef _tile_loadconfig
#define _tile_loadconfig(config) \
  __asm__ volatile("ldtilecfg %0" ::"m"(*reinterpret_cast<const char(*)[64]>(config)))

#undef _tile_loadd
#define _tile_loadd(tile, base, stride) PYSERVE_TILE_LOADD(tile, base, stride)
#define PYSERVE_TILE_LOADD(tile, base, stride)                                                    \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(static_cast<const void*>(base)),      \
                   "r"(static_cast<long>(stride))                                                 \
                   : "memory")

#endif
