#include "disk/directory.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "disk/piece_file.h"
#include "scratch_folder.h"

using namespace pyserve;
namespace fs = std::filesystem;

namespace {

constexpr double kDay = 86400;

Digest write(const PrefixDirectory& directory, Token token, double age_s) {
  const PieceHead head{{}, 0, {token}};
  REQUIRE(write_piece(directory.folder(), head, std::vector<uint8_t>(100)) == 0);
  const auto age = std::chrono::duration_cast<fs::file_time_type::duration>(
      std::chrono::duration<double>(age_s));
  fs::last_write_time(directory.path_of(name_of(head)), fs::file_time_type::clock::now() - age);
  return name_of(head);
}

int mode_of(const std::string& path) {
  struct stat facts = {};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  return static_cast<int>(facts.st_mode & 0777);
}

}  // namespace

TEST_CASE("what was used longest ago goes first, of all folders together") {
  const ScratchFolder scratch;
  const std::string root = scratch.path() + "/prefixes";
  constexpr int64_t kFileBytes = 80 + 4 + 100;
  const DirectoryLimits limits{3 * kFileBytes, false, kDay};
  PrefixDirectory one(root, "one", limits), two(root, "two", limits);
  REQUIRE(one.open("{}") == 0);
  REQUIRE(two.open("{}") == 0);
  CHECK(mode_of(root) == 0700);
  CHECK(mode_of(one.folder()) == 0700);
  const Digest oldest = write(one, 1, 300), second = write(two, 2, 200);
  write(one, 3, 100);
  CHECK(one.trim(0) == 3 * kFileBytes);
  one.touch({oldest});
  CHECK(one.trim(kFileBytes) == 2 * kFileBytes);
  CHECK(fs::exists(one.path_of(oldest)));
  CHECK_FALSE(fs::exists(two.path_of(second)));
  CHECK(one.list().size() == 2);
}

TEST_CASE("the later pieces of a prefix go before its first") {
  const ScratchFolder scratch;
  PrefixDirectory directory(scratch.path(), "a", {184, false, kDay});
  REQUIRE(directory.open("") == 0);
  const Digest first = write(directory, 1, 0), next = write(directory, 2, 0);
  directory.touch({first, next});
  directory.trim(0);
  CHECK(fs::exists(directory.path_of(first)));
  CHECK_FALSE(fs::exists(directory.path_of(next)));
}

TEST_CASE("old files and what a dead process left are deleted, others' files are not") {
  const ScratchFolder scratch;
  PrefixDirectory directory(scratch.path(), "a", {1 << 20, false, kDay});
  REQUIRE(directory.open("about") == 0);
  write(directory, 1, 2 * kDay);
  const Digest kept = write(directory, 2, kDay / 2);
  for (const auto* name : {".tmp-1-1", "notes.txt"}) {
    std::ofstream(directory.folder() + '/' + name) << "x";
    fs::last_write_time(directory.folder() + '/' + name,
                        fs::file_time_type::clock::now() - std::chrono::hours(50));
  }
  std::ofstream(directory.folder() + "/.tmp-2-1") << "being written";
  directory.trim(0);
  CHECK(directory.list() == std::vector<std::string>{file_name(kept)});
  CHECK(fs::exists(directory.folder() + "/notes.txt"));
  CHECK(fs::exists(directory.folder() + "/about.json"));
  CHECK_FALSE(fs::exists(directory.folder() + "/.tmp-1-1"));
  CHECK(fs::exists(directory.folder() + "/.tmp-2-1"));
}

TEST_CASE("a directory that is only read stays as it is") {
  const ScratchFolder scratch;
  PrefixDirectory writer(scratch.path(), "a", {1 << 20, false, kDay});
  REQUIRE(writer.open("") == 0);
  const Digest name = write(writer, 1, 5 * kDay);
  PrefixDirectory reader(scratch.path(), "a", {0, true, kDay});
  CHECK(reader.open("") == EROFS);
  reader.trim(1 << 20);
  reader.touch({name});
  reader.remove_file(file_name(name));
  CHECK(reader.list().size() == 1);
  PrefixDirectory fresh(scratch.path() + "/none", "a", {0, true, kDay});
  CHECK(fresh.open("") == EROFS);
  CHECK_FALSE(fs::exists(scratch.path() + "/none"));
}

TEST_CASE("a directory may be named from where the process stands") {
  const ScratchFolder scratch;
  const fs::path before = fs::current_path();
  fs::current_path(scratch.path());
  PrefixDirectory directory("prefixes", "one", {1 << 20, false, kDay});
  const int error = directory.open("{}");
  fs::current_path(before);
  REQUIRE(error == 0);
  CHECK(fs::exists(scratch.path() + "/prefixes/one"));
}

TEST_CASE("a directory that cannot be made is an error, not an exception") {
  const ScratchFolder scratch;
  std::ofstream(scratch.path() + "/file") << "x";
  PrefixDirectory directory(scratch.path() + "/file", "a", {1 << 20, false, kDay});
  CHECK(directory.open("") != 0);
  CHECK(directory.list().empty());
  CHECK(directory.trim(0) == 0);
}
