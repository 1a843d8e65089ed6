// Bytes in pieces become valid UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace pyserve {

// Collects bytes and gives back complete characters; a byte that can belong to no character
// becomes U+FFFD. Splitting the input differently never changes the concatenated output.
// Thread: none of its own.
class Utf8Assembler {
 public:
  // Returns the text completed by `bytes`; an unfinished character is kept for the next call.
  std::string feed(std::string_view bytes);

  // An unfinished character at the end of the input, and forgetting it.
  bool has_pending() const { return !pending_.empty(); }
  void drop_pending() { pending_.clear(); }

 private:
  std::string pending_;  // a proper prefix of one character, at most 3 bytes
};

// `bytes` as valid UTF-8; an unfinished character at the end becomes U+FFFD too.
std::string sanitize_utf8(std::string_view bytes);

}  // namespace pyserve
