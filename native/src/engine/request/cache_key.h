// The key under which requests share prefixes: their adapters, tenant and salt as one text.
#pragma once

#include <functional>
#include <string>

#include "pyserve/request.h"

namespace pyserve {

// What a key is made of.
struct CacheKey {
  AdapterSet adapters;
  std::string tenant;
  std::string cache_salt;
};

// identity: of an adapter, hexadecimal digits. No tenant can choose a salt that makes its key
// another tenant's, or that of other adapters.
std::string make_cache_key(const Request& request, const std::function<std::string(int)>& identity);

// The same backwards. adapter: its index by its identity.
// REQUIRES: a key that make_cache_key() made.
CacheKey read_cache_key(const std::string& text,
                        const std::function<int(const std::string&)>& adapter);

}  // namespace pyserve
