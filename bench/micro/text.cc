// Token pieces to the text of a stream.

#include "bench.h"
#include "text/output_text.h"

namespace pyserve::bench {
namespace {

constexpr int kPieces = 1000;

// One operation assembles kPieces pieces.
Operation assemble(const std::vector<std::string>& pieces, const std::vector<std::string>& stops) {
  return [&pieces, &stops] {
    OutputText output(stops);
    size_t n_bytes = 0;
    for (int i = 0; i < kPieces; ++i) {
      n_bytes += output.feed(pieces[i % pieces.size()], std::nullopt).text.size();
    }
    return static_cast<long>(n_bytes + output.finish().text.size());
  };
}

}  // namespace

void bench_text() {
  print_heading("text assembly, 1,000 pieces");
  const std::vector<std::string> words{" the", " quick", " brown", "\n", " fox", ".", " jumps"};
  const std::vector<std::string> bytes{"\xf0\x9f", "\x98", "\x80", "\xc3", "\xa9"};
  const std::vector<std::string> none;
  const std::vector<std::string> stops{"\n\n", "<|im_end|>", "User:", "###"};
  measure("words", assemble(words, none));
  measure("parts of characters", assemble(bytes, none));
  measure("words, 4 stop strings", assemble(words, stops));
}

}  // namespace pyserve::bench
