#include "engine/request/cache_key.h"

#include <doctest/doctest.h>

using namespace pyserve;

TEST_CASE("a key is read back, whatever texts its tenant and salt are") {
  const auto identity = [](int i) { return std::string(8, i == 0 ? 'a' : 'b'); };
  const auto adapter = [](const std::string& text) { return text[0] == 'a' ? 0 : 1; };
  for (const char* tenant : {"", "alice", "a:b", "3:b*7,", "*"}) {
    for (const char* salt : {"", "salt", ":*,", "0:"}) {
      for (const AdapterSet& adapters :
           {AdapterSet{}, AdapterSet{{1, 0.5F}}, AdapterSet{{0, -1.25F}, {1, 1.0F}}}) {
        Request request;
        request.tenant = tenant;
        request.cache_salt = salt;
        request.adapters = adapters;
        const CacheKey key = read_cache_key(make_cache_key(request, identity), adapter);
        CHECK(key.tenant == tenant);
        CHECK(key.cache_salt == salt);
        CHECK(key.adapters == adapters);
      }
    }
  }
}
