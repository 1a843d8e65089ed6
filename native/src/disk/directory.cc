#include "disk/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "disk/file_handle.h"
#include "disk/piece_file.h"

namespace pyserve {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAbout = "about.json";
constexpr double kTemporaryS = 600;                  // a write takes less
constexpr int64_t kMinFreeBytes = int64_t{1} << 30;  // of the file system, or this part of it
constexpr double kMinFreePart = 0.02;
constexpr int64_t kNsPerS = 1'000'000'000;

struct Entry {
  std::string path;
  int64_t n_bytes = 0;
  int64_t used_at_ns = 0;
};

int64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// Calls `visit` with every name in a folder; nothing when it cannot be read.
template <typename Visit>
void for_each_name(const std::string& folder, const Visit& visit) {
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    visit(it->path().filename().string());
  }
}

bool find_entry(const std::string& path, Entry& entry) {
  struct stat facts = {};
  if (::lstat(path.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) return false;
  entry.path = path;
  entry.n_bytes = facts.st_size;
  entry.used_at_ns = facts.st_mtim.tv_sec * kNsPerS + facts.st_mtim.tv_nsec;
  return true;
}

// Every parent has the usual rights; the last one is for this user alone.
int make_private(const std::string& folder) {
  std::error_code error;
  fs::create_directories(fs::absolute(folder).parent_path(), error);
  if (error) return error.value();
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return errno;
  return ::access(folder.c_str(), W_OK | X_OK) == 0 ? 0 : errno;
}

}  // namespace

int PrefixDirectory::open(const std::string& about) {
  if (limits_.is_read_only) return EROFS;
  if (const int error = make_private(root_); error != 0) return error;
  if (const int error = make_private(folder_); error != 0) return error;
  const std::string path = folder_ + '/' + kAbout;
  FileHandle file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (file.is_open()) file.write(about.data(), about.size());  // it is only for people
  return 0;
}

std::string PrefixDirectory::path_of(const Digest& name) const {
  return folder_ + '/' + file_name(name);
}

std::vector<std::string> PrefixDirectory::list() const {
  std::vector<std::string> names;
  for_each_name(folder_, [&](const std::string& name) {
    if (is_piece_file(name)) names.push_back(name);
  });
  return names;
}

int64_t PrefixDirectory::trim(int64_t n_bytes_more) {
  const int64_t now = now_ns();
  std::vector<Entry> entries;
  int64_t n_bytes = 0;
  for_each_name(root_, [&](const std::string& folder) {
    for_each_name(root_ + '/' + folder, [&](const std::string& name) {
      Entry entry;
      const bool is_temporary = name.starts_with(kTemporary);
      if (!is_temporary && !is_piece_file(name)) return;
      if (!find_entry(root_ + '/' + folder + '/' + name, entry)) return;
      const double age_s = static_cast<double>(now - entry.used_at_ns) / kNsPerS;
      if (!limits_.is_read_only && age_s > (is_temporary ? kTemporaryS : limits_.max_age_s)) {
        ::unlink(entry.path.c_str());
        return;
      }
      n_bytes += entry.n_bytes;
      if (!is_temporary) entries.push_back(std::move(entry));
    });
  });
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used_at_ns < b.used_at_ns; });
  for (const Entry& entry : entries) {
    if (limits_.is_read_only || n_bytes + n_bytes_more <= limits_.n_bytes_max) break;
    ::unlink(entry.path.c_str());
    n_bytes -= entry.n_bytes;
  }
  return n_bytes;
}

bool PrefixDirectory::has_room(int64_t n_bytes) const {
  struct statvfs facts = {};
  if (::statvfs(folder_.c_str(), &facts) != 0) return true;  // the write will tell
  const auto n_free = static_cast<int64_t>(facts.f_bavail * facts.f_frsize);
  const auto n_all = static_cast<double>(facts.f_blocks * facts.f_frsize);
  return n_free - n_bytes >= std::min(kMinFreeBytes, static_cast<int64_t>(n_all * kMinFreePart));
}

void PrefixDirectory::remove_file(const std::string& name) const {
  if (limits_.is_read_only) return;
  ::unlink((folder_ + '/' + name).c_str());
}

void PrefixDirectory::touch(const std::vector<Digest>& names) const {
  int64_t at_ns = now_ns();
  if (limits_.is_read_only) return;
  for (const Digest& name : names) {
    at_ns -= 1000;  // some file systems know microseconds
    struct timespec times[2] = {};
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = at_ns / kNsPerS;
    times[1].tv_nsec = at_ns % kNsPerS;
    ::utimensat(AT_FDCWD, path_of(name).c_str(), times, AT_SYMLINK_NOFOLLOW);
  }
}

}  // namespace pyserve
