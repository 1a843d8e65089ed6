// An open file.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>

namespace pyserve {

// Thread: one at a time.
class FileHandle {
 public:
  FileHandle(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~FileHandle() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;

  bool is_open() const { return fd_ >= 0; }

  // -1: not a plain file, or it cannot be told.
  int64_t n_bytes() const {
    struct stat facts = {};
    if (::fstat(fd_, &facts) != 0 || !S_ISREG(facts.st_mode)) return -1;
    return facts.st_size;
  }

  // Exactly `n_bytes`; false: there are fewer, or the system cannot.
  bool read(void* to, size_t n_bytes) {
    auto* bytes = static_cast<uint8_t*>(to);
    while (n_bytes > 0) {
      const ssize_t n = ::read(fd_, bytes, n_bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes += n;
      n_bytes -= static_cast<size_t>(n);
    }
    return true;
  }

  // 0 or an errno.
  int write(const void* from, size_t n_bytes) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    while (n_bytes > 0) {
      const ssize_t n = ::write(fd_, bytes, n_bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0 ? errno : ENOSPC;
      bytes += n;
      n_bytes -= static_cast<size_t>(n);
    }
    return 0;
  }

  int close() {
    const int status = ::close(fd_);
    fd_ = -1;
    return status == 0 ? 0 : errno;
  }

 private:
  int fd_;
};

}  // namespace pyserve
