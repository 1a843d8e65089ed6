// A checksum that finds damage at the speed of memory. It is no defence against forgery.
#pragma once

#include <cstdint>
#include <span>

namespace pyserve {

uint64_t checksum(std::span<const uint8_t> bytes);

}  // namespace pyserve
