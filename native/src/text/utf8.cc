#include "text/utf8.h"

#include <cstdint>

namespace pyserve {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Scan { kComplete, kIncomplete, kInvalid };

struct ScanResult {
  Scan kind;
  size_t n_bytes;  // bytes that belong to the character, or that are to be replaced
};

// Second bytes are restricted after E0, ED, F0 and F4 (Unicode, table 3-7).
bool is_second_byte(uint8_t lead, uint8_t byte) {
  switch (lead) {
    case 0xE0:
      return byte >= 0xA0 && byte <= 0xBF;
    case 0xED:
      return byte >= 0x80 && byte <= 0x9F;
    case 0xF0:
      return byte >= 0x90 && byte <= 0xBF;
    case 0xF4:
      return byte >= 0x80 && byte <= 0x8F;
    default:
      return byte >= 0x80 && byte <= 0xBF;
  }
}

size_t sequence_length(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Looks at the character that starts at text[0]. An invalid sequence is replaced up to the first
// byte that cannot continue it (maximal subpart, Unicode 3.9).
ScanResult scan_character(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t length = sequence_length(lead);
  if (length == 0) return {Scan::kInvalid, 1};
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Scan::kIncomplete, i};
    const auto byte = static_cast<uint8_t>(text[i]);
    const bool fits = i == 1 ? is_second_byte(lead, byte) : (byte >= 0x80 && byte <= 0xBF);
    if (!fits) return {Scan::kInvalid, i};
  }
  return {Scan::kComplete, length};
}

}  // namespace

std::string Utf8Assembler::feed(std::string_view bytes) {
  pending_.append(bytes);
  std::string_view rest = pending_;
  std::string out;
  while (!rest.empty()) {
    const ScanResult scan = scan_character(rest);
    if (scan.kind == Scan::kIncomplete) break;
    out += scan.kind == Scan::kComplete ? rest.substr(0, scan.n_bytes) : kReplacement;
    rest.remove_prefix(scan.n_bytes);
  }
  pending_ = std::string(rest);
  return out;
}

std::string sanitize_utf8(std::string_view bytes) {
  Utf8Assembler assembler;
  std::string out = assembler.feed(bytes);
  if (assembler.has_pending()) out += kReplacement;
  return out;
}

}  // namespace pyserve
