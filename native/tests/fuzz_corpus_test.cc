#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

int fuzz_chat_template(const uint8_t* data, size_t n_bytes);
int fuzz_grammar(const uint8_t* data, size_t n_bytes);
int fuzz_output_text(const uint8_t* data, size_t n_bytes);
int fuzz_piece_file(const uint8_t* data, size_t n_bytes);
int fuzz_scheduler(const uint8_t* data, size_t n_bytes);
int fuzz_tokenize(const uint8_t* data, size_t n_bytes);

TEST_CASE("the inputs that fuzzing begins with, and those it found, pass") {
  const std::pair<const char*, int (*)(const uint8_t*, size_t)> targets[] = {
      {"chat_template", fuzz_chat_template}, {"grammar", fuzz_grammar},
      {"output_text", fuzz_output_text},     {"piece_file", fuzz_piece_file},
      {"scheduler", fuzz_scheduler},         {"tokenize", fuzz_tokenize},
  };
  for (const auto& [name, target] : targets) {
    int n_inputs = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(PYSERVE_FUZZ_CORPUS "/") + name)) {
      CAPTURE(entry.path());
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string input{std::istreambuf_iterator<char>(file),
                              std::istreambuf_iterator<char>()};
      CHECK(target(reinterpret_cast<const uint8_t*>(input.data()), input.size()) == 0);
      ++n_inputs;
    }
    CHECK(n_inputs > 0);
  }
}
