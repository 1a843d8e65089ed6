#include "base/sha256.h"

#include <doctest/doctest.h>

#include <vector>

using namespace pyserve;

namespace {

std::string hash(const std::string& text, size_t n_cut = 1'000'000) {
  Sha256 hash;
  for (size_t at = 0; at < text.size(); at += n_cut) {
    const std::string part = text.substr(at, n_cut);
    hash.add({reinterpret_cast<const uint8_t*>(part.data()), part.size()});
  }
  return to_hex(hash.finish());
}

}  // namespace

TEST_CASE("SHA-256 gives the digests of FIPS 180-4, however its input is cut") {
  CHECK(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  for (const size_t n_cut : {1, 7, 55, 56, 64}) {
    CHECK(hash(two, n_cut) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  }
  CHECK(hash(std::string(1'000'000, 'a'), 977) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("texts are hashed with their lengths") {
  Sha256 one, two;
  one.add_text("ab");
  one.add_text("c");
  two.add_text("a");
  two.add_text("bc");
  CHECK(one.finish() != two.finish());
}
