// Runs a fuzz target without libFuzzer: the files of a corpus, then mutations of them for a while.
//
//   target SECONDS CORPUS    exit code 0: nothing was found; an abort is a finding
//
// The input that is running lies in fuzz-input below the working directory.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes);

namespace {

std::vector<std::string> read_corpus(const std::filesystem::path& folder) {
  std::vector<std::string> inputs;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

void run(const std::string& input) {
  std::ofstream("fuzz-input", std::ios::binary) << input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

// Changes, adds, removes or repeats a few bytes, or goes on as another input does.
std::string mutate(std::string input, const std::vector<std::string>& corpus, std::mt19937& rng) {
  for (int n = 1 + static_cast<int>(rng() % 4); n > 0; --n) {
    const size_t at = input.empty() ? 0 : rng() % input.size();
    const std::string& other = corpus[rng() % corpus.size()];
    switch (rng() % 5) {
      case 0:
        if (!input.empty()) input[at] = static_cast<char>(rng());
        break;
      case 1:
        input.insert(at, 1, static_cast<char>(rng()));
        break;
      case 2:
        input.erase(at, 1 + rng() % 8);
        break;
      case 3:
        input.insert(at, input.substr(at, 1 + rng() % 32));
        break;
      default:
        input = input.substr(0, at) + other.substr(other.empty() ? 0 : rng() % other.size());
    }
  }
  if (input.size() > 4096) input.resize(4096);
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SECONDS CORPUS\n", argv[0]);
    return 2;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
  const std::vector<std::string> corpus = read_corpus(argv[2]);
  for (const std::string& input : corpus) run(input);
  std::mt19937 rng(1);
  size_t n_runs = corpus.size();
  for (; !corpus.empty() && std::chrono::steady_clock::now() < end; ++n_runs) {
    run(mutate(corpus[rng() % corpus.size()], corpus, rng));
  }
  std::printf("%zu inputs\n", n_runs);
  std::filesystem::remove("fuzz-input");
  return 0;
}
