// Characters of UTF-8 texts, as the vendor's tokenizers read them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "unicode.h"

namespace pyserve {

inline bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// Bytes of the character that begins at `at`.
inline size_t character_bytes(std::string_view text, size_t at) {
  return std::min(unicode_len_utf8(text[at]), text.size() - at);
}

// The character that begins at `at`, below 2^21; some other one where the text is no UTF-8.
inline uint32_t character_at(std::string_view text, size_t at) {
  const size_t n_bytes = character_bytes(text, at);
  if (n_bytes == 1) return static_cast<unsigned char>(text[at]);
  uint32_t character = static_cast<unsigned char>(text[at]) & (0x7F >> n_bytes);
  for (size_t i = 1; i < n_bytes; ++i) character = character << 6 | (text[at + i] & 0x3F);
  return character;
}

}  // namespace pyserve
