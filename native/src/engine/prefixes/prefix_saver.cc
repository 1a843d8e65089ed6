#include "engine/prefixes/prefix_saver.h"

#include <algorithm>
#include <utility>

namespace pyserve {
namespace {

constexpr size_t kMaxJobs = 64;
constexpr int kMinPieceTokens = 64;  // a shorter end of a prefix is computed again sooner
// While requests run: the pause after a copy, as a multiple of what it took, and the largest copy.
constexpr double kPause = 19;
constexpr size_t kMaxBusyBytes = size_t{32} << 20;
constexpr size_t kMaxIdleBytes = size_t{4} << 30;

}  // namespace

void PrefixSaver::note(const std::string& key, const Digest& root, TokenSpan tokens) {
  if (static_cast<int>(tokens.size()) < limits_.n_min_tokens || writer_.is_off()) return;
  Job job{key, {tokens.begin(), tokens.end()}, root, 0, {}, false};
  std::erase_if(jobs_, [&](const Job& old) {
    if (old.key != key) return false;
    const auto n_old = static_cast<int>(old.tokens.size());
    const bool is_part = common_prefix(old.tokens, tokens) == n_old;
    return is_part && (cache_.is_cuttable() || old.tokens.size() == tokens.size());
  });
  jobs_.push_front(std::move(job));
  if (jobs_.size() > kMaxJobs) jobs_.pop_back();
}

void PrefixSaver::copy_before_eviction(const std::string& key, TokenSpan tokens) {
  for (Job& job : jobs_) {
    const auto n_common = static_cast<size_t>(common_prefix(job.tokens, tokens));
    // Some of its own tokens are the ones that go.
    if (job.key != key || n_common < std::min(job.tokens.size(), tokens.size())) continue;
    while (!job.is_done && writer_.has_room() && step(job, kMaxIdleBytes)) continue;
    job.is_done = true;
  }
  std::erase_if(jobs_, [](const Job& job) { return job.is_done; });
}

bool PrefixSaver::can_work(bool is_busy) const {
  if (jobs_.empty() || !writer_.has_room()) return false;
  return !is_busy || elapsed_ms(copied_at_, Clock::now()) >= kPause * copy_ms_;
}

void PrefixSaver::work(bool is_busy) {
  if (!can_work(is_busy)) return;
  const TimePoint begin = Clock::now();
  Job& job = jobs_.front();
  if (!step(job, is_busy ? kMaxBusyBytes : kMaxIdleBytes)) {
    // It is not kept any more, or too much for now.
    if (is_busy && !cache_.is_cuttable()) {
      std::rotate(jobs_.begin(), jobs_.begin() + 1, jobs_.end());
    } else {
      job.is_done = true;
    }
  }
  std::erase_if(jobs_, [](const Job& done) { return done.is_done; });
  copied_at_ = Clock::now();
  copy_ms_ = elapsed_ms(begin, copied_at_);
}

// Where memory cannot be cut there is one piece, of all.
int PrefixSaver::next_end(const Job& job) const {
  const auto n_tokens = static_cast<int>(job.tokens.size());
  return cache_.is_cuttable() ? std::min(job.begin + limits_.n_piece_tokens, n_tokens) : n_tokens;
}

// Copies the next piece that is not on disk; false: it cannot be had.
bool PrefixSaver::step(Job& job, size_t n_bytes_max) {
  const auto n_tokens = static_cast<int>(job.tokens.size());
  while (n_tokens - job.begin >= kMinPieceTokens) {
    const int end = next_end(job);
    const TokenSpan tokens = TokenSpan(job.tokens).first(end);
    const TokenSpan run = tokens.subspan(job.begin);
    PieceHead head{job.parent, job.begin, {run.begin(), run.end()}};
    const Digest name = name_of(head);
    const bool is_there = library_.has(name);
    if (!is_there) {
      std::vector<uint8_t> data = cache_.copy_piece(job.key, tokens, job.begin, n_bytes_max);
      if (data.empty()) return false;
      writer_.write(std::move(head), std::move(data));
    }
    job.names.push_back(name);
    job.parent = name;
    job.begin = end;
    if (!is_there && n_tokens - job.begin >= kMinPieceTokens) return true;
  }
  finish(job);
  return true;
}

void PrefixSaver::finish(Job& job) {
  job.is_done = true;
  if (!job.names.empty()) writer_.touch(std::move(job.names));
}

}  // namespace pyserve
