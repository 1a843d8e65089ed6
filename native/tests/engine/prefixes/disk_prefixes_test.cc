#include "engine/prefixes/disk_prefixes.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "fake_memory.h"
#include "scratch_folder.h"

using namespace pyserve;
namespace fs = std::filesystem;

namespace {

using Tokens = std::vector<Token>;

constexpr int kPieceTokens = 64;
constexpr MemoryKind kKinds[] = {MemoryKind::kPlain, MemoryKind::kWindow, MemoryKind::kRecurrent};

Tokens prompt_of(int n_tokens, Token first = 0) {
  Tokens tokens;
  for (int i = 0; i < n_tokens; ++i) tokens.push_back((first + i * 7) % 200);
  return tokens;
}

// What an engine has of prefixes; a new one has nothing but what is on disk.
class TestEngine {
 public:
  TestEngine(const std::string& root, MemoryKind kind, uint8_t space = 1, int n_cells = 2000,
             int64_t n_bytes_max = 1 << 20, bool is_read_only = false)
      : memory_(kind), cache_(memory_, {4, 8, n_cells, 0, true}) {
    DiskPrefixesConfig config;
    config.root = root;
    config.limits = {n_bytes_max, is_read_only, 86400};
    config.space.bytes[0] = space;
    config.saver = {128, kPieceTokens};
    disk_ = std::make_unique<DiskPrefixes>(cache_, config, [] {});
    while (disk_->is_opening()) std::this_thread::yield();
  }

  // A whole request; returns how many tokens it did not compute.
  int serve(const Tokens& tokens, const std::string& key = "") {
    const TokenSpan wanted = TokenSpan(tokens).first(tokens.size() - 1);
    bool is_new = true;
    while (disk_->must_wait(key, wanted, cache_.offer(key, wanted).n_cached, is_new)) {
      is_new = false;
      disk_->work(false);
      std::this_thread::yield();
    }
    const auto start = cache_.acquire(key, wanted);
    REQUIRE(start);
    const int n_begun = start->n_computed;
    // As an engine cuts prompts of memory that forgets.
    for (const auto end : {wanted.size(), tokens.size()}) {
      const TokenSpan part = TokenSpan(tokens).first(end);
      const int n_now = end == wanted.size() ? n_begun : static_cast<int>(wanted.size());
      const auto n_more = static_cast<int>(end) - n_now;
      REQUIRE(cache_.make_room(n_more));
      memory_.compute(start->seq_id, n_now, part.subspan(n_now));
      cache_.advance(start->seq_id, n_more);
      if (end == wanted.size() && cache_.publish(start->seq_id, part)) disk_->note(key, part);
    }
    CHECK(memory_.holds(start->seq_id, tokens));
    cache_.release(start->seq_id, tokens);
    disk_->note(key, tokens);
    CHECK(cache_.check() == "");
    CHECK(memory_.n_cells() == cache_.n_used_cells());
    return n_begun;
  }

  void flush() { disk_->flush(10'000); }
  EngineStats stats() const {
    EngineStats stats;
    disk_->count(stats);
    disk_->count_files(stats);
    return stats;
  }
  DiskPrefixes& disk() { return *disk_; }
  PrefixCache& cache() { return cache_; }

 private:
  FakeMemory memory_;
  PrefixCache cache_;
  std::unique_ptr<DiskPrefixes> disk_;
};

std::vector<std::string> pieces_in(const std::string& root) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (is_piece_file(entry.path().filename().string())) paths.push_back(entry.path().string());
  }
  return paths;
}

}  // namespace

TEST_CASE("another engine begins where the first one ended, for every kind of memory") {
  for (const auto kind : kKinds) {
    const ScratchFolder folder;
    const Tokens tokens = prompt_of(320);
    {
      TestEngine engine(folder.path(), kind);
      CHECK(engine.serve(tokens) == 0);
      engine.flush();
      CHECK(engine.stats().n_disk_written > 0);
      CHECK(engine.stats().n_disk_absent == 1);
    }
    TestEngine engine(folder.path(), kind);
    CHECK(engine.serve(tokens) == 319);
    CHECK(engine.stats().n_disk_hits == 1);
    Tokens next = tokens;
    next.insert(next.end(), 20, 5);
    TestEngine third(folder.path(), kind);
    CHECK(third.serve(next) == 320);
  }
}

TEST_CASE("tenants, salts and spaces never share") {
  const ScratchFolder folder;
  const Tokens tokens = prompt_of(320);
  {
    TestEngine engine(folder.path(), MemoryKind::kPlain);
    engine.serve(tokens, "alice");
    engine.flush();
  }
  TestEngine engine(folder.path(), MemoryKind::kPlain);
  CHECK(engine.serve(tokens, "bob") == 0);
  CHECK(engine.serve(tokens, "") == 0);
  CHECK(engine.serve(tokens, "alice") == 319);
  TestEngine other(folder.path(), MemoryKind::kPlain, /*space=*/2);
  CHECK(other.serve(tokens, "alice") == 0);
}

TEST_CASE("prompts that begin alike share their pieces, and a chat adds what is new") {
  const ScratchFolder folder;
  TestEngine engine(folder.path(), MemoryKind::kPlain);
  Tokens one = prompt_of(4 * kPieceTokens);
  engine.serve(one);
  engine.flush();
  CHECK(pieces_in(folder.path()).size() == 4);
  one.insert(one.end(), 70, 9);
  engine.serve(one);
  engine.flush();
  CHECK(pieces_in(folder.path()).size() == 5);
  Tokens other = prompt_of(4 * kPieceTokens);
  other.insert(other.end(), 2 * kPieceTokens, 8);
  engine.serve(other);
  engine.flush();
  CHECK(pieces_in(folder.path()).size() == 7);
  TestEngine again(folder.path(), MemoryKind::kPlain);
  CHECK(again.serve(other) == 6 * kPieceTokens - 1);
  CHECK(again.serve(one) == 5 * kPieceTokens);
}

TEST_CASE("a damaged piece ends the prefix before it, is deleted, and written again") {
  for (const auto kind : kKinds) {
    const ScratchFolder folder;
    const Tokens tokens = prompt_of(4 * kPieceTokens + 1);
    {
      TestEngine engine(folder.path(), kind);
      engine.serve(tokens);
      engine.flush();
    }
    TestEngine engine(folder.path(), kind);
    const bool is_plain = kind == MemoryKind::kPlain;
    for (const std::string& path : pieces_in(folder.path())) {
      if (is_plain && read_head(path).head.begin != 2 * kPieceTokens) continue;
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-1, std::ios::end);
      file.put('\xff');
    }
    CHECK(engine.serve(tokens) == (is_plain ? 2 * kPieceTokens : 0));
    CHECK(engine.stats().n_disk_damaged == 1);
    CHECK(engine.stats().n_disk_hits == 0);
    engine.flush();
    TestEngine again(folder.path(), kind);
    CHECK(again.serve(tokens) == 4 * kPieceTokens);
  }
}

TEST_CASE("pieces that others delete at any moment are misses") {
  const ScratchFolder folder;
  const Tokens tokens = prompt_of(320);
  TestEngine first(folder.path(), MemoryKind::kPlain);
  first.serve(tokens);
  first.flush();
  TestEngine second(folder.path(), MemoryKind::kPlain);
  fs::remove_all(folder.path());
  CHECK(second.serve(tokens) == 0);
  CHECK(second.stats().n_disk_gone == 1);
  second.flush();
  CHECK(second.stats().n_disk_errors > 0);
  CHECK(second.serve(tokens) == 319);
}

TEST_CASE("what is evicted from memory is on disk before") {
  for (const auto kind : kKinds) {
    const ScratchFolder folder;
    TestEngine engine(folder.path(), kind, 1, /*n_cells=*/350);
    const Tokens old = prompt_of(320);
    engine.serve(old);
    engine.serve(prompt_of(320, 3));
    engine.flush();
    CHECK(engine.serve(old) == 319);
    CHECK(engine.stats().n_disk_hits == 1);
  }
}

TEST_CASE("the directory stays within its bytes") {
  const ScratchFolder folder;
  constexpr int64_t kMax = 4000;
  TestEngine engine(folder.path(), MemoryKind::kPlain, 1, 2000, kMax);
  for (Token first = 0; first < 20; ++first) {
    engine.serve(prompt_of(200, first));
    engine.flush();
    int64_t n_bytes = 0;
    for (const std::string& path : pieces_in(folder.path())) {
      n_bytes += static_cast<int64_t>(fs::file_size(path));
    }
    CHECK(n_bytes <= kMax);
  }
  CHECK(engine.stats().n_disk_written > 20);
}

TEST_CASE("nothing is written to a directory that is only read, and short prefixes never are") {
  const ScratchFolder folder;
  {
    TestEngine engine(folder.path(), MemoryKind::kPlain);
    engine.serve(prompt_of(127));
    engine.flush();
    CHECK(pieces_in(folder.path()).empty());
    engine.serve(prompt_of(192));
    engine.flush();
  }
  const size_t n_pieces = pieces_in(folder.path()).size();
  TestEngine engine(folder.path(), MemoryKind::kPlain, 1, 2000, 1 << 20, /*is_read_only=*/true);
  CHECK(engine.serve(prompt_of(192)) == 191);
  engine.serve(prompt_of(320, 5));
  engine.flush();
  CHECK(pieces_in(folder.path()).size() == n_pieces);
  CHECK(engine.stats().n_disk_errors == 0);
}

TEST_CASE("two engines write and read one directory at once") {
  const ScratchFolder folder;
  const auto use = [&](Token first) {
    TestEngine engine(folder.path(), MemoryKind::kPlain, 1, 2000, 20'000);
    for (int i = 0; i < 30; ++i) {
      engine.serve(prompt_of(150 + 10 * (i % 7), (first + i) % 5));
      if (i % 5 == 0) engine.flush();
    }
  };
  std::vector<std::thread> threads;
  for (Token first = 0; first < 3; ++first) threads.emplace_back(use, first);
  for (std::thread& thread : threads) thread.join();
  for (const std::string& path : pieces_in(folder.path())) {
    CHECK(read_head(path).fault == FileFault::kNone);
  }
}
