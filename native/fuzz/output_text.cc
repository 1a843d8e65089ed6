// Pieces of an answer: the same text however it is cut, valid UTF-8, and no stop string in it.
#include "text/output_text.h"

#include "fuzz_input.h"
#include "text/thinking_budget.h"

using namespace pyserve;

namespace {

struct Output {
  std::string text;
  bool is_stopped = false;
};

Output assemble(const std::vector<std::string>& stops, const std::string& bytes, size_t n_piece) {
  OutputText output(stops);
  Output result;
  for (size_t at = 0; at < bytes.size() && !result.is_stopped; at += n_piece) {
    const auto release = output.feed(bytes.substr(at, n_piece), TokenLogprob{});
    result.text += release.text;
    result.is_stopped = release.stop.has_value();
  }
  if (!result.is_stopped) result.text += output.finish().text;
  return result;
}

void think(ThinkingLimit limit, const std::string& bytes) {
  ThinkingBudget budget(std::move(limit));
  for (const char byte : bytes) {
    budget.feed(std::string(1, byte));
    if (!budget.is_used_up()) continue;
    budget.end();
    require(!budget.is_used_up(), "what has been ended is not used up");
  }
}

}  // namespace

PYSERVE_FUZZ_TARGET(output_text) {
  FuzzInput input(data, n_bytes);
  const size_t n_piece = 1 + input.below(8);
  const int n_thoughts = input.below(32);
  std::vector<std::string> stops(input.below(4));
  for (std::string& stop : stops) stop = sanitize_utf8(input.line(16));
  const std::string bytes = input.line(1024);
  const Output whole = assemble(stops, bytes, bytes.size() + 1);
  const Output cut = assemble(stops, bytes, n_piece);
  require(whole.text == cut.text && whole.is_stopped == cut.is_stopped, "pieces do not matter");
  require(sanitize_utf8(whole.text) == whole.text, "the text is UTF-8");
  for (const std::string& stop : stops) {
    const bool is_there = !stop.empty() && whole.text.find(stop) != std::string::npos;
    require(!is_there, "no stop string is shown");
  }
  if (stops.size() == 2) {
    think({stops[0], stops[1], /*is_open=*/n_thoughts % 2 == 0, n_thoughts, {}}, bytes);
  }
  return 0;
}
