#include "engine/request/cache_key.h"

#include <bit>
#include <cstdint>

namespace pyserve {

std::string make_cache_key(const Request& request,
                           const std::function<std::string(int)>& identity) {
  std::string key;
  for (const auto& [adapter, scale] : request.adapters) {
    key += identity(adapter) + '*' + std::to_string(std::bit_cast<uint32_t>(scale)) + ',';
  }
  return key + std::to_string(request.tenant.size()) + ':' + request.tenant + request.cache_salt;
}

CacheKey read_cache_key(const std::string& text,
                        const std::function<int(const std::string&)>& adapter) {
  CacheKey key;
  size_t begin = 0;
  size_t mark = text.find_first_of("*:");
  for (; text.at(mark) == '*'; mark = text.find_first_of("*:", begin)) {
    const auto bits = static_cast<uint32_t>(std::stoul(text.substr(mark + 1)));
    key.adapters.push_back({adapter(text.substr(begin, mark - begin)), std::bit_cast<float>(bits)});
    begin = text.find(',', mark) + 1;
  }
  const size_t n_tenant = std::stoul(text.substr(begin));
  key.tenant = text.substr(mark + 1, n_tenant);
  key.cache_salt = text.substr(mark + 1 + n_tenant);
  return key;
}

}  // namespace pyserve
