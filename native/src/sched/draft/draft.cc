#include "sched/draft/draft.h"

#include <algorithm>
#include <array>

namespace pyserve {
namespace {

constexpr size_t kMaxPrompt = 65536;
// What a count begins with, in tokens, and when it is halved, so that old ones fade.
constexpr double kPriorTokens = 4;
constexpr double kMaxSeen = 64;

// By the length of the match: a guess, 1, 2, 3, 4-5, 6-8, ... tokens.
constexpr std::array<double, 9> kKnownChances{0.4, 0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.95};
constexpr std::array<double, 9> kOwnChances{0.1, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.85, 0.95};

int state_of(int n_matched) {
  constexpr std::array<int, 5> kLongest{3, 5, 8, 15, 31};
  if (n_matched <= kLongest[0]) return n_matched;
  const auto longest = std::lower_bound(kLongest.begin(), kLongest.end(), n_matched);
  return kLongest[0] + static_cast<int>(longest - kLongest.begin());
}

}  // namespace

Draft::Draft(TokenSpan prompt, TokenSpan known, int n_max, bool has_repetitions)
    : n_known_(static_cast<int>(known.size())),
      n_max_(std::min(n_max, kMaxLength)),
      has_repetitions_(has_repetitions),
      index_(known.size() + prompt.size()),
      records_{make_records(kKnownChances), make_records(kOwnChances)} {
  for (const Token token : known) index_.add(token);
  index_.part();
  for (const Token token : prompt.last(std::min(prompt.size(), kMaxPrompt))) index_.add(token);
}

Draft::Records Draft::make_records(const std::array<double, kNumStates>& chances) {
  Records records;
  for (int i = 0; i < kNumStates; ++i) records[i] = {kPriorTokens * chances[i], kPriorTokens};
  return records;
}

double Draft::chance(const Place& place) const {
  if (place.next >= end(place)) return 0;
  const Record& record = records(place)[state_of(place.n_matched)];
  return record.n_right / record.n_seen;
}

Proposal Draft::propose(int n_left) const {
  Proposal proposal;
  if (is_lost() || (!place_.is_known && !has_repetitions_)) return proposal;
  proposal.kind = place_.is_known ? DraftKind::kKnown : DraftKind::kRepeated;
  int n_most = std::min(n_left, n_max_);
  if (place_.is_known) n_most = std::min(n_most, n_known_ - place_.next);
  Place place = place_;
  double all = 1;
  for (int i = 0; i < n_most; ++i, ++place.n_matched) {
    // What an answer has said goes on behind its end when it repeats itself.
    const int at = place_.next + i;
    const int n_text = index_.size();
    proposal.tokens.push_back(at < n_text ? index_.tokens()[at] : proposal.tokens[at - n_text]);
    proposal.chances.push_back(all *= chance(place));
  }
  return proposal;
}

void Draft::accept(Token token) {
  const bool is_right = !is_lost() && index_.tokens()[place_.next] == token;
  if (!is_lost()) count(is_right);
  index_.add(token);
  ++n_said_;
  if (is_right) {
    ++place_.next;
    ++place_.n_matched;
  } else {
    ++n_lost_;
    place_ = find_again(token);
  }
  if (!is_right && place_.n_matched < NgramIndex::kMinMatch) return;
  anchor_ = place_.next;
  if (place_.is_known) known_anchor_ = anchor_;
  n_lost_ = 0;
}

void Draft::count(bool is_right) {
  Record& record = records_[place_.is_known ? 0 : 1][state_of(place_.n_matched)];
  record.n_right += is_right ? 1 : 0;
  if (++record.n_seen > kMaxSeen) record = {record.n_right / 2, record.n_seen / 2};
}

// Near where it was lost, or anywhere by its last tokens: whichever has been right more often.
Draft::Place Draft::find_again(Token token) const {
  const NgramIndex::Match match = index_.find({known_anchor_, n_known_});
  // The prompt alone proves nothing: templates repeat themselves.
  const int n_matched = std::min(match.n_tokens, n_said_ + 1);
  const Place found{match.next < n_known_, match.next, n_matched};
  const Place guessed = guess(token);
  const bool is_found = n_matched >= NgramIndex::kMinMatch;
  if (is_found && (n_lost_ > kMaxLost || chance(found) >= chance(guessed))) return found;
  return guessed;
}

Draft::Place Draft::guess(Token token) const {
  // 1. A little further on: some tokens were left out or replaced.
  const auto text = index_.tokens().begin();
  const auto window_begin = text + anchor_;
  const auto window_end = text + std::max(anchor_, std::min(anchor_ + kWindow, end(place_)));
  const auto near = std::find(window_begin, window_end, token);
  if (near != window_end) return {place_.is_known, static_cast<int>(near - text) + 1, 1};
  // 2. As if the token stood for the one that was expected.
  return {place_.is_known, anchor_ + n_lost_, 0};
}

}  // namespace pyserve
