#include "engine/prefixes/space.h"

#include <algorithm>
#include <bit>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/kernel_rung.h"
#include "llama/model/identity.h"

namespace pyserve {
namespace {

// A piece takes some milliseconds to copy, and a file system some tenths to find.
constexpr int64_t kPieceBytes = int64_t{8} << 20;
constexpr int kMinPieceTokens = 64;
constexpr int kMaxPieceTokens = 512;

std::string text_of(const RopeConfig& rope) {
  std::string text = rope.scaling;
  for (const float number :
       {rope.freq_base, rope.freq_scale, rope.yarn_ext_factor, rope.yarn_attn_factor,
        rope.yarn_beta_fast, rope.yarn_beta_slow, static_cast<float>(rope.yarn_orig_ctx)}) {
    text += ' ' + std::to_string(std::bit_cast<uint32_t>(number));
  }
  return text;
}

std::string text_of(const MetadataOverride& changed) {
  const std::string value = std::visit(
      [](const auto& given) {
        if constexpr (std::is_same_v<std::decay_t<decltype(given)>, std::string>) {
          return given;
        } else {
          return std::to_string(given);
        }
      },
      changed.value);
  return changed.key + '=' + std::to_string(changed.value.index()) + ':' + value;
}

using Facts = std::vector<std::pair<std::string, std::string>>;

Facts facts_of(const EngineConfig& config, const Context& context, bool has_head) {
  Facts facts = {
      {"model", to_hex(content_identity(config.model_path))},
      {"build", config.prefix_build},
      {"kernels", std::string(name_of(rung_in_force()))},
      {"cache_type_k", config.cache_type_k},
      {"cache_type_v", config.cache_type_v},
      {"flash_attn", config.flash_attn},
      {"rope", text_of(config.rope)},
      {"n_ctx", std::to_string(context.n_ctx())},
      {"n_kv", std::to_string(context.n_kv())},
      {"weights", std::string(config.use_mmap ? "mmap" : "") + (config.use_mlock ? " mlock" : "") +
                      ' ' + config.numa},
  };
  if (has_head) {
    const std::string& path = config.draft_model_path;
    facts.emplace_back("head", path.empty() ? "of the model" : to_hex(content_identity(path)));
  }
  for (const MetadataOverride& changed : config.overrides) {
    facts.emplace_back("override", text_of(changed));
  }
  return facts;
}

// JSON for people; texts of users are only in the file's name.
std::string about(const EngineConfig& config, const Facts& facts) {
  const auto quoted = [](const std::string& text) {
    std::string json = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') json += '\\';
      json += static_cast<unsigned char>(c) < ' ' ? '?' : c;
    }
    return json + '"';
  };
  std::string json = "{\"file\": " + quoted(config.model_path);
  for (const auto& [name, value] : facts) {
    if (name != "override") json += ", " + quoted(name) + ": " + quoted(value);
  }
  return json + "}\n";
}

int piece_tokens(const Context& context) {
  const int64_t n_token_bytes = std::max<int64_t>(context.kv_bytes() / context.n_kv(), 1);
  const auto n_fit = static_cast<uint64_t>(std::max<int64_t>(kPieceBytes / n_token_bytes, 1));
  return std::clamp(static_cast<int>(std::bit_floor(std::min<uint64_t>(n_fit, kMaxPieceTokens))),
                    kMinPieceTokens, kMaxPieceTokens);
}

}  // namespace

bool has_disk_prefixes(const EngineConfig& config, const Context& context) {
  return !config.prefix_disk_dir.empty() && config.prefix_disk_mib > 0 && context.n_pins() > 1;
}

DiskPrefixesConfig disk_prefixes_config(const EngineConfig& config, const Context& context,
                                        bool has_head) {
  const Facts facts = facts_of(config, context, has_head);
  Sha256 hash;
  for (const auto& [name, value] : facts) {
    hash.add_text(name);
    hash.add_text(value);
  }
  DiskPrefixesConfig disk;
  disk.root = config.prefix_disk_dir;
  disk.limits.n_bytes_max = static_cast<int64_t>(config.prefix_disk_mib) << 20;
  disk.limits.is_read_only = config.is_prefix_disk_read_only;
  disk.limits.max_age_s = config.prefix_disk_ttl_s;
  disk.space = hash.finish();
  disk.about = about(config, facts);
  disk.saver.n_min_tokens = config.prefix_disk_min_tokens;
  disk.saver.n_piece_tokens = piece_tokens(context);
  return disk;
}

}  // namespace pyserve
