#include "engine/prefixes/disk_prefixes.h"

#include <algorithm>
#include <utility>

namespace pyserve {
namespace {

constexpr double kOpeningMs = 1000;  // requests wait for the directory so long
constexpr double kPollMs = 20;       // reads wake the engine; limits of time do not
constexpr size_t kMaxRoots = 4096;
constexpr size_t kFolderBytes = 8;

}  // namespace

DiskPrefixes::DiskPrefixes(PrefixCache& cache, DiskPrefixesConfig config,
                           std::function<void()> on_loaded)
    : config_(std::move(config)),
      begun_at_(Clock::now()),
      library_(PrefixDirectory(config_.root, to_hex(config_.space, kFolderBytes), config_.limits),
               cache.is_cuttable()),
      writer_(library_, config_.about),
      reader_(library_, std::move(on_loaded)),
      saver_(cache, library_, writer_, config_.saver),
      fetcher_(cache, library_, reader_, writer_) {
  cache.on_evict([this](const std::string& key, TokenSpan tokens) {
    saver_.copy_before_eviction(key, tokens);
  });
}

DiskPrefixes::~DiskPrefixes() = default;

// Tenants, salts and adapters have names of their own.
const Digest& DiskPrefixes::root_of(const std::string& key) {
  const auto found = roots_.find(key);
  if (found != roots_.end()) return found->second;
  if (roots_.size() >= kMaxRoots) roots_.clear();
  Sha256 hash;
  hash.add(config_.space.bytes);
  hash.add_text(key);
  return roots_.emplace(key, hash.finish()).first->second;
}

bool DiskPrefixes::is_opening() const {
  return !writer_.has_scanned() && elapsed_ms(begun_at_, Clock::now()) < kOpeningMs;
}

bool DiskPrefixes::must_wait(const std::string& key, TokenSpan tokens, int n_cached, bool is_new) {
  if (fetcher_.is_reading_for(key, tokens, n_cached)) return true;
  if (!is_new || static_cast<int>(tokens.size()) < n_cached + kMinReadTokens) return false;
  return fetcher_.start(key, root_of(key), tokens, n_cached, prompt_ms_per_token_);
}

void DiskPrefixes::note(const std::string& key, TokenSpan tokens) {
  if (static_cast<int>(tokens.size()) < config_.saver.n_min_tokens) return;
  saver_.note(key, root_of(key), tokens);
}

void DiskPrefixes::work(bool is_busy) {
  fetcher_.work(is_busy);
  saver_.work(is_busy || fetcher_.is_reading());
}

double DiskPrefixes::wait_ms(bool is_busy) const {
  if (saver_.can_work(is_busy || fetcher_.is_reading())) return 0;
  return is_opening() || fetcher_.is_reading() || saver_.has_work() ? kPollMs : -1;
}

void DiskPrefixes::flush(double limit_ms) {
  const TimePoint begin = Clock::now();
  const auto left_ms = [&] { return limit_ms - elapsed_ms(begin, Clock::now()); };
  while (saver_.has_work() && left_ms() > 0) {
    if (saver_.can_work(false)) {
      saver_.work(false);
    } else {
      writer_.finish(std::min(left_ms(), kPollMs));
    }
  }
  writer_.finish(left_ms());
}

void DiskPrefixes::count(EngineStats& stats) const {
  const FetchCounts& counts = fetcher_.counts();
  stats.n_disk_hits = counts.n_hits;
  stats.n_disk_tokens = counts.n_tokens;
  stats.n_disk_absent = counts.n_absent;
  stats.n_disk_slow = counts.n_slow;
  stats.n_disk_full = counts.n_full;
  stats.n_disk_late = counts.n_late;
  stats.n_disk_damaged = counts.n_damaged;
  stats.n_disk_gone = counts.n_gone;
}

void DiskPrefixes::count_files(EngineStats& stats) const {
  stats.disk_bytes = library_.n_bytes();
  stats.n_disk_pieces = static_cast<int64_t>(library_.n_pieces());
  stats.n_disk_written = writer_.n_written();
  stats.disk_written_bytes = writer_.n_written_bytes();
  stats.n_disk_errors = writer_.n_errors();
  stats.disk_read_bytes = reader_.n_read_bytes();
  stats.disk_read_ms = reader_.read_ms();
}

}  // namespace pyserve
